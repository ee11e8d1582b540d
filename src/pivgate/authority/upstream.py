# SPDX-License-Identifier: Apache-2.0
"""Certificates for the way from the gate to an upstream: an authority for that way alone. No I/O.

They do not come from the authority of the holders. An upstream that trusted that one would let in every
holder who calls it directly, around the gate, a revoked one too; and the gate would have to trust servers and
holders by one key. So each site's upstream has an authority of its own, which signs two certificates: the
server's, and the one by which the upstream knows the gate. Nothing else is ever signed by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pivgate.authority.issue import (
    CLOCK_SKEW,
    Authority,
    Randomness,
    build,
    issue_authority,
    random_serial_number,
)
from pivgate.authority.keys import FileSigner
from pivgate.authority.names import common_name
from pivgate.authority.profiles import GATE_AT_UPSTREAM, UPSTREAM_SERVER, Contents, Profile

AUTHORITY_DAYS: Final = 7300
LEAF_DAYS: Final = 365

# Not users' names: the colon and the space make sure that no user can ever be called so.
SERVER_NAME: Final = "pivgate: upstream"
GATE_NAME: Final = "pivgate: gate"
_AUTHORITY_NAME: Final = "pivgate: authority of an upstream"

Host = str | IPv4Address | IPv6Address
"""How a server is named: a host name in small letters, or an IP address."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key.

    Attributes:
        certificate: The certificate.
        private_key: Its key.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PKCS#8 in PEM, not encrypted: programs read it when nobody is there."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def create_authority(
    private_key: ec.EllipticCurvePrivateKey, *, now: datetime, randomness: Randomness
) -> Authority:
    """Make the authority of one upstream.

    Args:
        private_key: Its key, on P-256: every TLS library knows that.
        now: The time, UTC.
        randomness: Gives that many random bytes.
    """
    signer = FileSigner(private_key)
    certificate = issue_authority(
        common_name(_AUTHORITY_NAME),
        signer,
        now=now,
        days=AUTHORITY_DAYS,
        serial_number=random_serial_number(randomness),
    )
    return Authority(certificate, signer)


def issue_server(
    authority: Authority,
    hosts: tuple[Host, ...],
    private_key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    randomness: Randomness,
) -> Pair:
    """Issue an upstream's server certificate. It cannot be used as a client's.

    Args:
        authority: That upstream's.
        hosts: How it is named: by its site's name, and as the gate dials it.
        private_key: The server's key.
        now: The time, UTC.
        randomness: Gives that many random bytes.

    Raises:
        RefusedError: The authority may not sign at this time.
    """
    contents = Contents(
        private_key.public_key(), authority.key_identifier, hosts=tuple(map(_general_name, hosts))
    )
    return _issue(authority, UPSTREAM_SERVER, SERVER_NAME, contents, private_key, now, randomness)


def issue_gate(
    authority: Authority, private_key: ec.EllipticCurvePrivateKey, *, now: datetime, randomness: Randomness
) -> Pair:
    """Issue the certificate by which an upstream knows the gate. It cannot be used as a server's.

    Args:
        authority: That upstream's.
        private_key: The gate's key for it.
        now: The time, UTC.
        randomness: Gives that many random bytes.

    Raises:
        RefusedError: The authority may not sign at this time.
    """
    contents = Contents(private_key.public_key(), authority.key_identifier)
    return _issue(authority, GATE_AT_UPSTREAM, GATE_NAME, contents, private_key, now, randomness)


def is_due(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    """Say whether a certificate is to be renewed: less than a third of its life is left.

    One that ends with its authority is not: another would end no later.
    """
    ends = certificate.not_valid_after_utc
    life = ends - certificate.not_valid_before_utc
    return ends - now < life / 3 and ends < authority.not_valid_after_utc


def hosts_of(certificate: x509.Certificate) -> tuple[Host, ...]:
    """Return how a server certificate names its server.

    Raises:
        ValueError: Its extensions cannot be read, or it names none.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise ValueError("it names no server") from error
    return tuple(name.value for name in names if isinstance(name, (x509.DNSName, x509.IPAddress)))  # type: ignore[misc]


def _issue(
    authority: Authority,
    profile: Profile,
    name: str,
    contents: Contents,
    private_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    randomness: Randomness,
) -> Pair:
    authority.check_dates(now)
    second = now.replace(microsecond=0)
    builder = build(
        profile,
        contents,
        subject=common_name(name),
        issuer=authority.name,
        serial_number=random_serial_number(randomness),
        validity=(
            max(second - CLOCK_SKEW, authority.starts),
            min(second + timedelta(days=LEAF_DAYS), authority.ends),
        ),
    )
    return Pair(authority.signer.sign_certificate(builder), private_key)


def _general_name(host: Host) -> x509.DNSName | x509.IPAddress:
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)
