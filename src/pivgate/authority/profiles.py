# SPDX-License-Identifier: Apache-2.0
"""What each kind of certificate contains, as data. Issuing writes it and verifying demands it."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID


@dataclass(frozen=True)
class Profile:
    """One kind of certificate (RFC 5280, section 4.2).

    Attributes:
        name: What people call it; also how the registry names it.
        basic_constraints: Authority or not, and how many authorities may follow below.
        key_usage: What the key may be used for.
        extended_key_usage: For which protocols; None for any.
        names_issuer_key: Carries the authority key identifier.
        carries_email: Carries the holder's address as a subject alternative name, when it is known.
        carries_hosts: Carries the host names and IP addresses of a server as subject alternative names.
    """

    name: str
    basic_constraints: x509.BasicConstraints
    key_usage: x509.KeyUsage
    extended_key_usage: x509.ExtendedKeyUsage | None
    names_issuer_key: bool
    carries_email: bool
    carries_hosts: bool = False


@dataclass(frozen=True)
class Contents:
    """The extensions that differ from one certificate of a profile to the next.

    Attributes:
        public_key: The key that is certified; its identifier is made of it (RFC 5280, 4.2.1.2, method 1).
        issuer_key: The issuer's key identifier, for profiles that name it.
        email: The holder's address, for profiles that carry it.
        hosts: Names and addresses of a server, for profiles that carry them.
    """

    public_key: CertificatePublicKeyTypes
    issuer_key: x509.AuthorityKeyIdentifier | None = None
    email: str | None = None
    hosts: tuple[x509.DNSName | x509.IPAddress, ...] = ()


def _key_usage(*, digital_signature: bool = False, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


AUTHORITY = Profile(
    name="authority",
    basic_constraints=x509.BasicConstraints(ca=True, path_length=0),
    key_usage=_key_usage(certificates=True),
    extended_key_usage=None,
    names_issuer_key=False,
    carries_email=False,
)

CLIENT = Profile(
    name="client",
    basic_constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_usage=_key_usage(digital_signature=True),
    extended_key_usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
    names_issuer_key=True,
    carries_email=True,
)

UPSTREAM_SERVER = Profile(
    name="upstream server",
    basic_constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_usage=_key_usage(digital_signature=True),
    extended_key_usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    names_issuer_key=True,
    carries_email=False,
    carries_hosts=True,
)

GATE_AT_UPSTREAM = Profile(
    name="gate at upstream",
    basic_constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_usage=_key_usage(digital_signature=True),
    extended_key_usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
    names_issuer_key=True,
    carries_email=False,
)


def extensions(profile: Profile, contents: Contents) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    """Return every extension a certificate of this profile has, in the order in which it has them.

    Raises:
        ValueError: The profile needs the issuer's key identifier and it is not there.
    """
    found: list[tuple[bool, x509.ExtensionType]] = [
        (True, profile.basic_constraints),
        (True, profile.key_usage),
    ]
    if profile.extended_key_usage is not None:
        found.append((False, profile.extended_key_usage))
    found.append((False, x509.SubjectKeyIdentifier.from_public_key(contents.public_key)))
    if profile.names_issuer_key:
        if contents.issuer_key is None:
            raise ValueError(f"a certificate of the profile {profile.name} names its issuer's key")
        found.append((False, contents.issuer_key))
    if profile.carries_email and contents.email is not None:
        found.append((False, x509.SubjectAlternativeName([x509.RFC822Name(contents.email)])))
    if profile.carries_hosts:
        found.append((False, x509.SubjectAlternativeName(contents.hosts)))
    return tuple(x509.Extension(value.oid, critical, value) for critical, value in found)
