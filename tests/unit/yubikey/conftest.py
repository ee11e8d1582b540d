# SPDX-License-Identifier: Apache-2.0
"""A bench: an emulated YubiKey, an enrolment that lives in memory, and answers to every question."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, PivSession

from pivgate.emulator.connection import EmulatedDevice, Moment
from pivgate.emulator.firmware import FIRMWARE, Firmware
from pivgate.emulator.piv.references import Secret
from pivgate.emulator.piv.state import dump
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.errors import PivgateError
from pivgate.yubikey.algorithms import LeafAlgorithm
from pivgate.yubikey.plan import KeyFacts, Plan, Resume, Secrets, StepEvent
from pivgate.yubikey.provision import provision

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PIN, PUK = "73-Luft", "Halm=482"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Issues what it is asked for."""

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.certificate = self.issue("authority", self.key.public_key(), days=30)

    def issue(self, name: str, public_key: Any, *, days: int = 10) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("authority"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=days))
            .sign(self.key, None)
        )


class MemoryEnrolment:
    """Keeps what the registry would keep, and the order in which it was asked."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.authority_certificate = self.authority.certificate
        self.begun: KeyFacts | None = None
        self.issued: list[x509.Certificate] = []
        self.active: x509.Certificate | None = None
        self.calls: list[str] = []

    def look_up(self, facts: KeyFacts) -> Resume:
        if self.begun is None:
            return Resume()
        certificate = self.issued[-1] if self.issued else None
        active = certificate is not None and certificate == self.active
        return Resume(started=True, certificate=certificate, active=active)

    def begin(self, facts: KeyFacts) -> None:
        self.calls.append("begin")
        self.begun = facts

    def certify(self, request: bytes) -> x509.Certificate:
        self.calls.append("certify")
        parsed = x509.load_der_x509_csr(request)
        assert parsed.is_signature_valid
        self.issued.append(self.authority.issue("alice", parsed.public_key()))
        return self.issued[-1]

    def activate(self, certificate: x509.Certificate) -> None:
        self.calls.append("activate")
        assert certificate in self.issued
        self.active = certificate


class Bench:
    """One emulated key on the bench.

    Attributes:
        asked: The questions that were asked, in order; for the PIN with the tries that were shown.
        events: The steps that were shown.
        pin: What the user answers when asked for the PIN in force.
        new_pin: What the user answers when asked for a new one.
        new_puk: What the user answers when asked for a new PUK.
        management_key: What the user answers when asked for the management key.
    """

    def __init__(self, firmware: Firmware, **options: Any) -> None:
        self.key = EmulatedYubiKey(firmware, 12345678, **options)
        self.device = EmulatedDevice(self.key)
        self.enrolment = MemoryEnrolment()
        self.asked: list[str] = []
        self.events: list[StepEvent] = []
        self.pin = self.new_pin = PIN
        self.new_puk = PUK
        self.management_key: bytes | None = None
        self.plan = Plan("alice", self._secrets(), algorithm=LeafAlgorithm.P256, now=lambda: NOW)

    def _secrets(self) -> Secrets:
        def ask(question: str, answer: Callable[[], Any]) -> Any:
            self.asked.append(question)
            return answer()

        return Secrets(
            new_pin=lambda: ask("new PIN", lambda: self.new_pin),
            new_puk=lambda: ask("new PUK", lambda: self.new_puk),
            pin=lambda tries: ask(f"PIN, {tries} tries", lambda: self.pin),
            management_key=lambda: ask("management key", lambda: self.management_key),
        )

    def provision(self, **changes: Any) -> Any:
        """Run the command, each time as a new process would."""
        self.asked.clear()
        self.events.clear()
        plan = dataclasses.replace(self.plan, **changes)
        return provision(self.device, plan, self.enrolment, self.events.append)

    def refused(self, error: type[PivgateError], match: str, **changes: Any) -> PivgateError:
        """Provision, see it refused with a way out, and the key as it was."""
        before = self.snapshot()
        with pytest.raises(error, match=match) as caught:
            self.provision(**changes)
        assert self.snapshot() == before
        assert caught.value.hint
        return caught.value

    def prepare(self, act: Callable[[PivSession], object]) -> None:
        """Do something to the factory key before the command gets it."""
        with self.session() as connection:
            piv = PivSession(connection)
            piv.authenticate(DEFAULT_MANAGEMENT_KEY)
            piv.verify_pin("123456")
            act(piv)

    def session(self) -> Any:
        """Open a connection to the key, for a look past the code under test."""
        return self.device.open()

    def snapshot(self) -> object:
        """All that the key keeps without power."""
        return dump(self.key.piv.state), self.key.management.state

    def tries(self) -> tuple[int, int]:
        """Tries left for PIN and PUK."""
        secrets = self.key.piv.state.secrets
        return secrets[Secret.PIN].left, secrets[Secret.PUK].left

    def secret(self, secret: Secret) -> str:
        """The PIN or PUK in force."""
        return self.key.piv.state.secrets[secret].value.rstrip(b"\xff").decode()

    def count_commands(self, run: Callable[[], object]) -> int:
        """Run something and count the APDUs."""
        count = 0

        def hook(moment: Moment, _apdu: bytes) -> None:
            nonlocal count
            count += moment is Moment.BEFORE

        self.device.hook = hook
        run()
        self.device.hook = None
        return count


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Puts a key on the bench: by the name of its firmware, or with a firmware of its own."""

    def make(firmware: str | Firmware, **options: Any) -> Bench:
        return Bench(FIRMWARE[firmware] if isinstance(firmware, str) else firmware, **options)

    return make


@pytest.fixture(params=sorted(FIRMWARE))
def bench(request: pytest.FixtureRequest) -> Bench:
    """A key fresh from the factory, once for each firmware."""
    return Bench(FIRMWARE[request.param])
