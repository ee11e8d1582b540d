# SPDX-License-Identifier: Apache-2.0
"""A sound home on a sound machine, copies of it to plant faults in, and what doctor says of them."""

import dataclasses
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from tests.ports import free_ports

from pivgate.authority.issue import Authority
from pivgate.authority.names import common_name
from pivgate.browser.places import Places
from pivgate.doctor.diagnosis import Diagnosis, diagnose
from pivgate.doctor.finding import Area, Finding
from pivgate.doctor.place import Place
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.enrolment.authority import unlock
from pivgate.enrolment.founding import Founding, found
from pivgate.gate.apply import prepare
from pivgate.gate.caddy import find_caddy
from pivgate.registry.store import Registry
from pivgate.settings import Home

PASSPHRASE = "correct horse battery staple"
ALICE = (31000001, 31000002)
DAY = timedelta(days=1)

SITE = """
localhost {{
	import pivgate admins internal {{
		reverse_proxy 127.0.0.1:{port}
	}}
}}
"""


@dataclass(frozen=True)
class Patient:
    """A home and its machine.

    Attributes:
        home: The home.
        machine: Root of a file system with nothing on it but what tests put there.
        https_port: Where its gate serves.
        upstream: Port of its site's upstream, on the loopback.
    """

    home: Home
    machine: Path
    https_port: int
    upstream: int

    def place(self, **other: object) -> Place:
        """Return the place, with something in it changed."""
        holder = self.machine / "home/holder"
        browsers = Places(
            home=holder,
            config=holder / ".config",
            data=holder / ".local/share",
            state=holder / ".local/state/pivgate/browser",
            root=self.machine,
            path=str(self.machine / "usr/bin"),
        )
        sound = Place(self.home, datetime.now(UTC), os.geteuid(), dict(os.environ), browsers)
        return dataclasses.replace(sound, **other)  # type: ignore[arg-type]

    def diagnose(self, *areas: Area, **other: object) -> Diagnosis:
        """Have it looked at."""
        return diagnose(self.place(**other), areas)

    def findings(self, *areas: Area, **other: object) -> dict[str, Finding]:
        """Return what is found, by its code; each is found once."""
        found = self.diagnose(*areas, **other).findings
        by_code = {each.code: each for each in found}
        assert len(by_code) == len(found), found
        for each in found:
            assert each.cause
            assert each.remedy
        return by_code

    def registry(self) -> Registry:
        """Open the registry to change it."""
        return Registry.open(self.home.registry, self.home.audit_head)

    def authority(self) -> Authority:
        """Return the authority, ready to sign."""
        return unlock(self.home, lambda: PASSPHRASE, datetime.now(UTC))

    def write(self, *blocks: str, change: tuple[str, str] = ("", "")) -> None:
        """Write the Caddyfile: its head, with something in it changed, and these blocks."""
        head, _, _ = self.home.caddyfile.read_text().partition("import pivgate.caddy\n")
        text = head + "import pivgate.caddy\n" + "".join(blocks)
        assert change[0] in text
        self.home.caddyfile.write_text(text.replace(*change) if change[0] else text)

    def site(self) -> str:
        """Return the block of its site."""
        return SITE.format(port=self.upstream)


def issue(
    authority: Authority,
    user: str,
    public_key: object = None,
    days: tuple[int, int] = (-1, 300),
    now: datetime | None = None,
) -> x509.Certificate:
    """Issue a client certificate with any dates."""
    begun = (now or datetime.now(UTC)).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(user))
        .issuer_name(authority.name)
        .public_key(public_key or ec.generate_private_key(ec.SECP256R1()).public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun + days[0] * DAY)
        .not_valid_after(begun + days[1] * DAY)
    )
    return authority.signer.sign_certificate(builder)


def enrol(
    registry: Registry, user: str, serial: int, certificate: x509.Certificate, now: datetime | None = None
) -> None:
    """Register a key, with its certificate in force."""
    moment = now or datetime.now(UTC)
    registry.register_key(
        serial,
        model="YubiKey 5 NFC",
        firmware="5.7.4",
        form_factor="USB-A",
        user=user,
        actor="test",
        now=moment,
    )
    recorded = registry.record_certificate(
        certificate.public_bytes(Encoding.DER), serial, "client", actor="test", now=moment
    )
    registry.activate_certificate(recorded.fingerprint, actor="test", now=moment)


@contextmanager
def sound_patient(upstream: int) -> Iterator[Patient]:
    """Make a home with nothing wrong, whose gate was not started: alice has two keys and one site."""
    # Not under tmp_path: the path of a unix socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        home, now = Home(folder / "home"), datetime.now(UTC)
        https_port, http_port = free_ports(2)
        plan = Founding("p256", 3650, "CN=Test", "ops", https_port, http_port, "127.0.0.1")
        found(home, plan, PASSPHRASE.encode(), actor="test", now=now)
        (folder / "machine").mkdir()
        patient = Patient(home, folder / "machine", https_port, upstream)
        authority = patient.authority()
        with patient.registry() as registry:
            registry.add_user("alice", actor="test", now=now)
            registry.add_group("admins", actor="test", now=now)
            registry.add_member("admins", "alice", actor="test", now=now)
            for serial in ALICE:
                enrol(registry, "alice", serial, issue(authority, "alice"))
            bring_tree_to_registry(home, registry, actor="test", now=datetime.now(UTC))
        patient.write(patient.site())
        prepare(home, find_caddy())
        yield patient
    finally:
        shutil.rmtree(folder)


@contextmanager
def copied(patient: Patient, name: str = "home") -> Iterator[Patient]:
    """Yield a copy in another folder, to plant a fault in."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        yield copy_into(patient, folder, name)
    finally:
        shutil.rmtree(folder)


def copy_into(patient: Patient, folder: Path, name: str = "home") -> Patient:
    """Copy a home and its machine into a folder; the copy's gate is down."""
    home = Home(folder / name)
    shutil.copytree(patient.home.root, home.root, symlinks=True, ignore=_running)
    shutil.copytree(patient.machine, folder / "machine", symlinks=True)
    https_port, http_port = free_ports(2)
    for path in (home.caddyfile, home.snippet):
        text = path.read_text().replace(str(patient.home.root), str(home.root))
        text = re.sub(r"\bhttps_port \d+", f"https_port {https_port}", text)
        path.write_text(re.sub(r"\bhttp_port \d+", f"http_port {http_port}", text))
    return dataclasses.replace(patient, home=home, machine=folder / "machine", https_port=https_port)


def _running(folder: str, names: list[str]) -> list[str]:
    return names if Path(folder).name == "run" else []


def fingerprint() -> str:
    """Return one that no certificate has."""
    return secrets.token_hex(32)
