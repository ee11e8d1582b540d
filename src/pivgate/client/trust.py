# SPDX-License-Identifier: Apache-2.0
"""Which authorities may vouch for a server: the system's, the gate's own in this home, or a named file."""

import re
import ssl
import warnings
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from pivgate.errors import InputError
from pivgate.files import read_file
from pivgate.settings import Home

_PRIVATE = frozenset(
    (
        *("localhost", "local", "internal", "test", "example", "invalid", "onion", "alt"),
        *("lan", "home", "corp", "mail", "intranet", "private"),
    )
)
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def caddy_root(home: Home) -> Path | None:
    """Return the authority that this home's Caddy uses for internal names, if it has one yet."""
    path = home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    with suppress(OSError):  # a home of somebody else, which we may not enter
        if path.is_file():
            return path
    return None


def load_trust(file: Path | None, home: Home) -> list[x509.Certificate]:
    """Load the authorities that may have signed a server's certificate.

    Args:
        file: The only ones, PEM; None for the system's and that of this home's gate.
        home: It need not be there.

    Raises:
        InputError: The file holds no certificate.
        StorageError: It cannot be read.
    """
    if file is not None:
        found = _certificates(read_file(file))
        if not found:
            raise InputError(
                f"{file} holds no certificate in PEM", "Name the authority's certificate with --ca."
            )
        return found
    root = caddy_root(home)
    return _system() + (_certificates(read_file(root)) if root else [])


def _system() -> list[x509.Certificate]:
    """Load those that OpenSSL trusts here; ``$SSL_CERT_FILE`` and ``$SSL_CERT_DIR`` count, as with curl."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return _certificates(read_file(Path(paths.cafile)))
    found: list[x509.Certificate] = []
    if paths.capath:
        # Only the links that c_rehash made: each certificate has one.
        for path in sorted(Path(paths.capath).glob("*.[0-9]")):
            with suppress(OSError):
                found += _certificates(path.read_bytes())
    return found


def _certificates(pem: bytes) -> list[x509.Certificate]:
    found = []
    with warnings.catch_warnings():
        # Some old authorities' certificates break a rule that does not matter here.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in _BLOCK.findall(pem):
            with suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(block))
    return found


def is_private_name(host: str) -> bool:
    """Tell whether no public authority certifies a name, so that Caddy uses its own for it (RFC 6761)."""
    return host.endswith(".home.arpa") or host.rpartition(".")[2] in _PRIVATE or "." not in host
