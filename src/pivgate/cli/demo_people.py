# SPDX-License-Identifier: Apache-2.0
"""The people of the demo, each with an emulated YubiKey."""

from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.enrolment.authority import load_certificate, unlock
from pivgate.enrolment.local import LocalEnrolment
from pivgate.registry.store import Registry
from pivgate.settings import Home
from pivgate.yubikey.plan import Plan, Secrets
from pivgate.yubikey.provision import provision
from pivgate.yubikey.report import read_report
from pivgate.yubikey.session import open_piv
from pivgate.yubikey.sign import SlotSigner
from pivgate.yubikey.tls_key import Login

PIN, _PUK = "246813", "97531246"


class Person:
    """Somebody with a YubiKey.

    Args:
        name: Their user name.
        firmware: Of their key.
        serial: Of their key.
    """

    def __init__(self, name: str, firmware: str, serial: int) -> None:
        self.name = name
        self.serial = serial
        self.device = EmulatedDevice(EmulatedYubiKey(FIRMWARE[firmware], serial))
        self._login: Login | None = None

    def condition(self) -> str:
        """Say what the key says of itself."""
        piv = read_report(self.device).piv
        if piv is None:
            return "PIV is off"
        state = "factory PIN, PUK, management key" if piv.management_key_is_factory else "secrets of its own"
        return f"{state}; {piv.pin_tries} PIN tries left"

    def login(self) -> Login:
        """Return certificate and signer; the private key stays where it is."""
        if self._login is None:
            raise RuntimeError(f"{self.name}'s key has no certificate yet")
        return self._login

    def provisioned(self, login: Login) -> None:
        """Keep what is needed to log in."""
        self._login = login


class _KeySigner:
    """Signs on the key, in a session of its own for each signature, as another program would."""

    def __init__(self, person: Person, public_key: object) -> None:
        self._person = person
        self._public_key = public_key

    def sign(
        self,
        message: bytes,
        hash_algorithm: HashAlgorithm | Prehashed | None,
        rsa_padding: AsymmetricPadding | None,
    ) -> bytes:
        """Sign a message on the key."""
        with self._person.device.open() as connection:
            signer = SlotSigner(open_piv(connection), self._public_key, ask_pin=lambda _tries: PIN)  # type: ignore[arg-type]
            return signer.sign(message, hash_algorithm, rsa_padding)


def provision_person(
    home: Home, registry: Registry, person: Person, *, actor: str, clock: Callable[[], datetime]
) -> str:
    """Provision a person's key as ``pivgate key provision`` does."""
    enrolment = LocalEnrolment(
        home,
        registry,
        person.name,
        unlock=lambda: unlock(home, lambda: "", clock()),
        authority_certificate=load_certificate(home),
        client_days=30,
        actor=actor,
        clock=clock,
    )
    secrets = Secrets(new_pin=lambda: PIN, new_puk=lambda: _PUK, pin=lambda _tries: PIN)
    steps = 0

    def count(_event: object) -> None:
        nonlocal steps
        steps += 1

    provisioned = provision(person.device, Plan(person.name, secrets), enrolment, count)
    certificate = provisioned.certificate
    person.provisioned(Login(certificate, _KeySigner(person, certificate.public_key())))
    return f"certificate for {certificate.subject.rfc4514_string()}, P-384, {steps} steps shown"
