# SPDX-License-Identifier: Apache-2.0
"""Read the certificates and keys in an upstream's folder."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pivgate.authority.issue import Authority
from pivgate.authority.keys import load_signer
from pivgate.authority.upstream import Pair
from pivgate.errors import StorageError
from pivgate.files import read_file
from pivgate.gate.upstream_block import UpstreamFolder


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a file.

    Raises:
        StorageError: It is missing or damaged.
    """
    try:
        return x509.load_pem_x509_certificate(read_file(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise damaged(path) from error


def read_pair(path: Path) -> Pair:
    """Read a certificate and its key from one file.

    Raises:
        StorageError: It is missing or damaged.
    """
    certificate = read_certificate(path)
    try:
        key = load_pem_private_key(read_file(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise damaged(path)
    return Pair(certificate, key)


def read_authority(folder: UpstreamFolder) -> Authority:
    """Read the authority of an upstream, ready to sign.

    Raises:
        StorageError: A file is missing or damaged, or key and certificate do not belong together.
    """
    authority = Authority(
        read_certificate(folder.authority), load_signer(read_file(folder.authority_key), b"")
    )
    if authority.signer.public_key != authority.certificate.public_key():
        raise damaged(folder.authority_key)
    return authority


def damaged(path: Path) -> StorageError:
    """Say that a file is not what it was, and how its site gets another."""
    return StorageError(
        f"{path} is damaged",
        "Restore it from a backup; or remove the site, add it again, and give its upstream the new files.",
    )
