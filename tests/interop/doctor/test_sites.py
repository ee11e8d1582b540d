# SPDX-License-Identifier: Apache-2.0
"""Faults of the Caddyfile, its groups and its certificates; a real Caddy reads it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.interop.doctor.patient import DAY, Patient

from pivgate.doctor.finding import Area

pytestmark = pytest.mark.interop

OPEN = """
open.localhost {
	respond "hello"
}
"""


def gated(host: str, tls: str = "internal", group: str = "admins") -> str:
    return f"\n{host} {{\n\timport pivgate {group} {tls} {{\n\t\trespond hello\n\t}}\n}}\n"


def test_sound_sites_have_nothing(sound: Patient) -> None:
    (report,) = sound.diagnose(Area.SITES).areas
    assert report.findings == ()
    assert report.good == 8


SERVERS = "\tservers {\n\t\tprotocols h1 h2\n\t}\n"
FAULTS: dict[str, tuple[str, Callable[[Patient], object], str]] = {
    "no Caddyfile": ("caddyfile-missing", lambda patient: patient.home.caddyfile.unlink(), "no Caddyfile"),
    "an unknown directive": (
        "caddyfile-refused",
        lambda patient: patient.write(patient.site(), "\na.localhost {\n\tno_such_thing\n}\n"),
        "no_such_thing",
    ),
    "a brace that does not close": (
        "caddyfile-refused",
        lambda patient: patient.write(patient.site(), "\na.localhost {\n"),
        "Caddyfile",
    ),
    "a site without a group": (
        "caddyfile-refused",
        lambda patient: patient.write("\na.localhost {\n\timport pivgate {\n\t\trespond x\n\t}\n}\n"),
        "group",
    ),
    "not UTF-8": (
        "caddyfile-refused",
        lambda patient: patient.home.caddyfile.write_bytes(b"# caf\xe9\n"),
        "UTF-8",
    ),
    "no snippet": ("snippet-missing", lambda patient: patient.home.snippet.unlink(), "never up"),
    "a snippet of an older pivgate": (
        "snippet-outdated",
        lambda patient: patient.home.snippet.write_text(
            patient.home.snippet.read_text().replace("Content-Security-Policy", "X-Policy")
        ),
        "older pivgate",
    ),
    "a snippet from before the contact was changed": (
        "snippet-outdated",
        lambda patient: patient.home.settings.write_text('contact = "somebody else"\n'),
        "contact",
    ),
    "admin on TCP": (
        "admin-not-private",
        lambda patient: patient.write(
            patient.site(),
            change=(f'admin "unix/{patient.home.admin_socket}|0200"', "admin localhost:2019"),
        ),
        "localhost:2019",
    ),
    "strict SNI off": (
        "strict-sni-off",
        lambda patient: patient.write(
            patient.site(), change=("protocols h1 h2", "protocols h1 h2\n\t\tstrict_sni_host insecure_off")
        ),
        "strict_sni_host",
    ),
    "HTTP/3 on": (
        "http3-on",
        lambda patient: patient.write(patient.site(), change=("protocols h1 h2", "protocols h1 h2 h3")),
        "HTTP/3",
    ),
    "HTTP/3 by default": (
        "http3-on",
        lambda patient: patient.write(patient.site(), change=(SERVERS, "")),
        "HTTP/3",
    ),
    "an open site before the same upstream": (
        "upstream-shared",
        lambda patient: patient.write(
            patient.site(), f"\nopen.localhost {{\n\treverse_proxy 127.0.0.1:{patient.upstream}\n}}\n"
        ),
        "open.localhost",
    ),
    "an answer before the gate": (
        "gate-hole",
        lambda patient: patient.write(
            patient.site().replace("localhost {", "localhost {\n\troute /status {\n\t\trespond fine\n\t}", 1)
        ),
        "",
    ),
    "a group nobody knows": (
        "group-unknown",
        lambda patient: patient.write(patient.site().replace("admins", "adminz")),
        "adminz",
    ),
    "a group nobody is in": ("group-empty", lambda patient: empty_group(patient), "editors"),
    "a name without an address": (
        "site-name-unresolved",
        lambda patient: patient.write(patient.site(), gated("nowhere.invalid")),
        "no address",
    ),
    "a wildcard for gated and open sites": (
        "wildcard-shared",
        lambda patient: wildcard(patient),
        "*.localhost.localdomain",
    ),
    "a key that is another's": ("server-certificate-unusable", lambda patient: mismatch(patient), "together"),
    "no file": (
        "server-certificate-unusable",
        lambda patient: patient.write(gated("localhost", "/nowhere/a.pem /nowhere/a.key")),
        "/nowhere/a.pem",
    ),
    "a certificate that begins later": (
        "server-certificate-not-yet-valid",
        lambda patient: own(patient, days=(1, 80)),
        "not valid before",
    ),
    "a certificate that ended": (
        "server-certificate-expired",
        lambda patient: own(patient, days=(-90, -1)),
        "browsers refuse",
    ),
    "a certificate that ends soon": (
        "server-certificate-ends-soon",
        lambda patient: own(patient, days=(-80, 5)),
        "nobody has renewed",
    ),
}


def empty_group(patient: Patient) -> None:
    with patient.registry() as registry:
        registry.add_group("editors", actor="test", now=datetime.now(UTC))
    patient.write(patient.site().replace("admins", "editors"))


def server_certificate(
    folder: Path, *names: str, days: tuple[int, int] = (-1, 300), name: str = "server"
) -> tuple[Path, Path]:
    """Write a server certificate of its own making, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pem, key_file


def own(patient: Patient, *, days: tuple[int, int]) -> None:
    pem, key = server_certificate(patient.machine, "localhost", days=days)
    patient.write(gated("localhost", f"{pem} {key}"))


def mismatch(patient: Patient) -> None:
    pem, _ = server_certificate(patient.machine, "localhost")
    _, key = server_certificate(patient.machine, "localhost", name="other")
    patient.write(gated("localhost", f"{pem} {key}"))


def wildcard(patient: Patient) -> None:
    pem, key = server_certificate(patient.machine, "*.localhost.localdomain", "localhost")
    openly = f"\nopen.localhost.localdomain {{\n\ttls {pem} {key}\n\trespond hello\n}}\n"
    patient.write(gated("localhost", f"{pem} {key}"), openly)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_caddyfile_is_named(patient: Patient, name: str) -> None:
    code, plant, word = FAULTS[name]
    plant(patient)
    findings = patient.findings(Area.SITES)
    assert list(findings) == [code]
    assert word in findings[code].cause


def test_a_certificate_of_gated_sites_alone_is_no_fault(patient: Patient) -> None:
    pem, key = server_certificate(patient.machine, "localhost", "ip6-localhost")
    patient.write(gated("localhost", f"{pem} {key}"), gated("ip6-localhost", f"{pem} {key}"), OPEN)
    assert {code for code in patient.findings(Area.SITES) if code != "site-name-unresolved"} == set()
