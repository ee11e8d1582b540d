# SPDX-License-Identifier: Apache-2.0
"""Is a server's certificate good for the site that is meant? Pure, but for the clock of the verifier."""

from collections.abc import Sequence
from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from pivgate.errors import GateError


class ServerCertificateError(GateError):
    """The server's certificate is not good for the site, or from an authority that is not trusted here."""


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, which has no place in SNI (RFC 6066, section 3)."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_server_certificate(
    chain: Sequence[x509.Certificate], host: str, trust: Sequence[x509.Certificate]
) -> None:
    """Check what a server showed against RFC 5280 and the rules for web sites.

    Args:
        chain: The server's own certificate first.
        host: The site's name, or an IP address.
        trust: Certificates of the authorities that may have signed it.

    Raises:
        ServerCertificateError: It is not good; the reason is named.
    """
    if not chain:
        raise not_good(host, "it showed none")
    if not trust:
        raise not_good(host, "no authority is trusted here")
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(ip_address(host)) if is_address(host) else x509.DNSName(host)
    )
    builder = (
        PolicyBuilder()
        .store(Store(list(trust)))
        .extension_policies(ca_policy=_authorities(), ee_policy=_servers())
    )
    try:
        builder.build_server_verifier(subject).verify(chain[0], list(chain[1:]))
    except VerificationError as error:
        raise not_good(host, str(error)) from error


def not_good(host: str, reason: str) -> ServerCertificateError:
    """Say why a server's certificate is not good."""
    return ServerCertificateError(
        f"The server's certificate is not good for {host}: {reason}",
        "Somebody else may be answering there. Check the address and the site's certificate.",
    )


def _authorities() -> ExtensionPolicy:
    """The rules of public authorities, save two that `openssl req -x509` does not keep."""
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    )


def _servers() -> ExtensionPolicy:
    """The rules for web sites; one that signed its own certificate may call itself an authority."""
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    )


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the authority's certificate is not one to sign others with")
