# SPDX-License-Identifier: Apache-2.0
"""The authority: its certificate, how its key is kept, and the certificates that the gate must refuse."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from pivgate.authority.keys import is_encrypted
from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.enrolment.authority import load_certificate
from pivgate.errors import PivgateError, StorageError
from pivgate.gate.knock import load_credentials
from pivgate.settings import Home


@dataclass(frozen=True)
class AuthorityFacts:
    """The authority of a home.

    Attributes:
        path: The file of its certificate.
        certificate: It, or why it cannot be read.
        key_path: The file of its key.
        encrypted: Whether the key needs a passphrase; or why that cannot be told.
        probes: Why the certificates that must be refused cannot be used; None if they can.
    """

    path: Path
    certificate: x509.Certificate | Trouble
    key_path: Path
    encrypted: bool | Trouble
    probes: Trouble | None


def gather_authority(place: Place) -> AuthorityFacts:
    """Read the authority's files."""
    home = place.home
    return AuthorityFacts(
        home.authority_certificate,
        _certificate(home),
        home.authority_key,
        _encrypted(home.authority_key),
        _probes(home.probes),
    )


def _certificate(home: Home) -> x509.Certificate | Trouble:
    try:
        return load_certificate(home)
    except PivgateError as error:
        return Trouble.of(error)


def _encrypted(path: Path) -> bool | Trouble:
    try:
        return is_encrypted(path.read_bytes())
    except OSError as error:
        return Trouble(f"it cannot be read: {error.strerror}", "", type(error).__name__)


def _probes(folder: Path) -> Trouble | None:
    try:
        load_credentials(folder)
    except StorageError as error:
        return Trouble.of(error)
    return None
