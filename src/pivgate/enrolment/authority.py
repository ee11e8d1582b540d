# SPDX-License-Identifier: Apache-2.0
"""The authority of a home: its certificate read, its key unlocked."""

from collections.abc import Callable
from datetime import datetime

from cryptography import x509

from pivgate.authority.issue import Authority
from pivgate.authority.keys import is_encrypted, load_signer
from pivgate.errors import StorageError
from pivgate.files import read_file
from pivgate.settings import Home


def load_certificate(home: Home) -> x509.Certificate:
    """Read the authority's certificate.

    Raises:
        StorageError: It is missing or damaged.
    """
    path = home.authority_certificate
    try:
        return x509.load_pem_x509_certificate(read_file(path))
    except ValueError as error:
        raise StorageError(f"{path} is damaged: {error}", "Restore the file from a backup.") from error


def unlock(home: Home, ask_passphrase: Callable[[], str], now: datetime) -> Authority:
    """Load the authority, ready to sign; the passphrase is asked for only when the key is encrypted.

    Raises:
        SecretError: The passphrase is wrong.
        RefusedError: The authority is not in force now, or key and certificate do not belong together.
        StorageError: A file is missing or damaged.
    """
    certificate = load_certificate(home)
    pem = read_file(home.authority_key)
    passphrase = ask_passphrase().encode() if is_encrypted(pem) else b""
    authority = Authority(certificate, load_signer(pem, passphrase))
    authority.check(now)
    return authority
