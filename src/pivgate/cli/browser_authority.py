# SPDX-License-Identifier: Apache-2.0
"""The authorities that certify the sites themselves, where no public one does."""

from pathlib import Path
from typing import TYPE_CHECKING

from pivgate.cli.workplace import current_home
from pivgate.errors import HomeError, InputError
from pivgate.files import read_file
from pivgate.settings import Home, load_settings

if TYPE_CHECKING:
    from cryptography import x509

    from pivgate.browser.database import Authority


def site_authorities(files: tuple[Path, ...], but: "x509.Name | None" = None) -> "tuple[Authority, ...]":
    """Return the authorities in files; without any, Caddy's internal one where this machine's home uses it.

    Args:
        files: The files.
        but: Leave out those of this name, which certified the key and not the sites.

    Raises:
        InputError: A file holds no certificate, or one that is not an authority's.
        HomeError: The home uses Caddy's internal authority, which is not made yet.
    """
    if files:
        return tuple(
            _authority(each, file) for file in files for each in certificates(file) if each.subject != but
        )
    if (root := _internal_root()) is None:
        return ()
    return tuple(_authority(each, root) for each in certificates(root))


def certificates(file: Path) -> "list[x509.Certificate]":
    """Read the certificates of a PEM file, or the one of a DER file.

    Raises:
        InputError: There is none.
    """
    from cryptography import x509

    data = read_file(file)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        pass
    try:
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise InputError(
            f"{file} holds no certificate", "Give the authority's certificate, in PEM or DER."
        ) from error


def _authority(certificate: "x509.Certificate", source: Path) -> "Authority":
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from pivgate.browser.database import Authority

    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise InputError(
            f"The certificate in {source} is not an authority's: {certificate.subject.rfc4514_string()}",
            "Give the certificate of the authority that certified the site, not the site's own.",
        )
    return Authority(_common_name(certificate.subject), certificate.public_bytes(Encoding.DER))


def _internal_root() -> Path | None:
    home = current_home()
    if not _has_internal_sites(home):
        return None
    root = home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    if not root.is_file():
        raise HomeError(
            f"Caddy's internal authority is not made yet: there is no {root}",
            "Start the gate once with `pivgate up`, then run the command again.",
        )
    return root


def _has_internal_sites(home: Home) -> bool:
    from pivgate.gate.caddyfile import sites
    from pivgate.gate.caddyfile_address import host_of

    try:
        load_settings(home)
    except HomeError:
        return False
    return any(
        site.tls == "internal" or (not site.tls and _caddy_certifies(host_of(site.address)))
        for site in sites(_caddyfile(home))
    )


def _caddy_certifies(host: str) -> bool:
    """Say whether Caddy gives a name its internal issuer by itself, as one no public authority certifies.

    https://caddyserver.com/docs/automatic-https#hostname-requirements
    """
    return "." not in host or host.endswith((".localhost", ".local", ".internal", ".home.arpa"))


def home_sites() -> tuple[str, ...]:
    """Return the host names of the gated sites of this machine's home; nothing without a home."""
    from pivgate.gate.caddyfile import sites
    from pivgate.gate.caddyfile_address import host_of

    home = current_home()
    try:
        load_settings(home)
    except HomeError:
        return ()
    return tuple(dict.fromkeys(host_of(site.address) for site in sites(_caddyfile(home))))


def certificate_issuer() -> str:
    """Return the common name of the authority that issues the keys' certificates.

    That is the authority of this machine's home; without a home, the issuer that the certificate on the
    key in this machine names.

    Raises:
        DeviceError: There is neither a home nor a key.
    """
    from pivgate.enrolment.authority import load_certificate

    home = current_home()
    try:
        load_settings(home)
    except HomeError:
        return _issuer_on_key()
    return _common_name(load_certificate(home).subject)


def _issuer_on_key() -> str:
    from pivgate.cli.probe import open_key

    return _common_name(open_key(None, None, use_last_try=False).certificate.issuer)


def _common_name(name: "x509.Name") -> str:
    from cryptography.x509.oid import NameOID

    named = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(named[0].value) if named else name.rfc4514_string()


def _caddyfile(home: Home) -> str:
    try:
        return read_file(home.caddyfile).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{home.caddyfile} is not UTF-8 at byte {error.start}", "Mend the file.") from error
