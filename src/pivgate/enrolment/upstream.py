# SPDX-License-Identifier: Apache-2.0
"""The life of an upstream's authority and of the two certificates it signs. Callers hold the home's lock.

A new folder is marked as unsettled until the Caddyfile refers to it, and one that is to go from before it no
longer does: whatever command was killed, :func:`settle` tells by the Caddyfile what came of it.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pivgate.authority.upstream import (
    Host,
    Pair,
    create_authority,
    hosts_of,
    is_due,
    issue_gate,
    issue_server,
)
from pivgate.enrolment.upstream_pair import read_authority, read_certificate, read_pair
from pivgate.errors import HomeError, InputError
from pivgate.files import (
    PRIVATE_DIRECTORY,
    PUBLIC_FILE,
    make_private_directory,
    read_file,
    storage_error,
    sync_directory,
    write_atomic,
)
from pivgate.gate.upstream_block import UpstreamFolder, folder_of, folders
from pivgate.settings import Home

CERTIFICATE, KEY, GATE_AUTHORITY = "server.pem", "server.key", "gate-ca.pem"
"""What the upstream's machine needs: its certificate, its key, and the only authority it may trust."""


@dataclass(frozen=True)
class Issued:
    """A certificate that was issued for the way to an upstream.

    Attributes:
        upstream: Its site.
        role: ``gate`` or ``server``.
        fingerprint: SHA-256 of the certificate.
        not_after: Its end.
    """

    upstream: str
    role: str
    fingerprint: str
    not_after: datetime


def settle(home: Home, caddyfile: str) -> None:
    """Complete or undo what a killed command had begun with an upstream's folder.

    Raises:
        StorageError: The home cannot be changed.
    """
    try:
        _sweep(home)
        for folder in folders(home):
            if folder.unsettled.exists():
                if folder.is_in(caddyfile):
                    folder.unsettled.unlink()
                else:
                    # Out of the way in one step: a removal that is cut short leaves no half of a folder.
                    folder.path.rename(_aside(folder.path, "gone"))
        _sweep(home)
    except OSError as error:
        raise storage_error("change", home.upstreams, error) from error


def _aside(path: Path, why: str) -> Path:
    return path.with_name(f".{path.name}.{why}")


def _sweep(home: Home) -> None:
    """Delete what was not finished, and what is gone."""
    for left in home.upstreams.glob(".*"):
        if left.is_dir():
            shutil.rmtree(left)


def mark(folder: UpstreamFolder) -> None:
    """Mark a folder as one of which the Caddyfile is to tell whether it stays.

    Raises:
        StorageError: The home cannot be changed.
    """
    write_atomic(folder.unsettled, b"")


def create(home: Home, address: str, hosts: tuple[Host, ...], now: datetime) -> tuple[Issued, ...]:
    """Make an authority for the upstream of a site, its server certificate, and the gate's.

    Args:
        home: The home; what was left of an earlier upstream of that site is settled.
        address: The site's.
        hosts: How the server is named.
        now: The time, UTC.

    Returns:
        What was issued. The folder is unsettled.

    Raises:
        HomeError: The site's upstream has an authority already.
        StorageError: The home cannot be changed.
    """
    folder = folder_of(home, address)
    if folder.path.exists():
        raise HomeError(
            f"There is already an authority for the upstream of {address}, in {folder.path}",
            "It belongs to a block that was moved or edited by hand. If nothing uses it, delete that folder.",
        )
    building = UpstreamFolder(_aside(folder.path, "new"))
    make_private_directory(home.upstreams)
    try:
        building.path.mkdir(PRIVATE_DIRECTORY)
        authority_key = _new_key()
        authority = create_authority(authority_key, now=now, randomness=os.urandom)
        own = Pair(authority.certificate, authority_key)
        write_atomic(building.authority_key, own.key_pem)
        write_atomic(building.authority, own.certificate_pem)
        mark(building)
        server = issue_server(authority, hosts, _new_key(), now=now, randomness=os.urandom)
        gate = issue_gate(authority, _new_key(), now=now, randomness=os.urandom)
        issued = (_put(folder, building.gate, gate), _put(folder, building.server, server))
        building.path.rename(folder.path)
        sync_directory(home.upstreams)
    except OSError as error:
        raise storage_error("create", folder.path, error) from error
    return issued


def renew(folder: UpstreamFolder, now: datetime) -> tuple[Issued, ...]:
    """Renew each certificate of an upstream of which less than a third of its life is left; keys, too.

    Returns:
        What was issued. The gate shows it from the next load of its configuration on, and a server when its
        files were written out and taken to its machine; until then the old ones hold.

    Raises:
        StorageError: A file is missing or damaged, or cannot be written.
        RefusedError: The clock is before the start of the upstream's authority.
    """
    issued = []
    for path in (folder.gate, folder.server):
        current = read_certificate(path)
        if is_due(current, read_certificate(folder.authority), now):
            issued.append(_put(folder, path, _renewed(folder, path, current, now)))
    return tuple(issued)


def in_use(folder: UpstreamFolder) -> tuple[Issued, ...]:
    """Return what was issued last for the gate and for the server of an upstream.

    Raises:
        StorageError: A file is missing or damaged.
    """
    return tuple(_issued(folder, path, read_certificate(path)) for path in (folder.gate, folder.server))


def hand_out(home: Home, address: str, target: Path) -> datetime:
    """Write what the upstream's machine needs into a folder, readable by its owner alone.

    Args:
        home: The home.
        address: The site's.
        target: The folder; created when missing. Files of this upstream in it are replaced.

    Returns:
        The end of the server's certificate.

    Raises:
        HomeError: The site's upstream has no authority of its own.
        InputError: There are files of those names in the folder that are not of this upstream.
        StorageError: A file cannot be read or written.
    """
    folder = folder_of(home, address)
    if not folder.path.is_dir():
        raise HomeError(
            f"The upstream of {address} is not reached by mutual TLS",
            "Put the site there with `pivgate site add ... --upstream-mtls`.",
        )
    authority = read_file(folder.authority)
    pair = read_pair(folder.server)
    _check_target(target, authority, address)
    try:
        target.mkdir(PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("create", target, error) from error
    # The authority first: by it the folder is known as this upstream's, should the rest be cut short.
    write_atomic(target / GATE_AUTHORITY, authority, PUBLIC_FILE)
    write_atomic(target / KEY, pair.key_pem)
    write_atomic(target / CERTIFICATE, pair.certificate_pem, PUBLIC_FILE)
    write_atomic(folder.handed_out, pair.certificate_pem)
    return pair.certificate.not_valid_after_utc


def _check_target(target: Path, authority: bytes, address: str) -> None:
    there = [name for name in (GATE_AUTHORITY, KEY, CERTIFICATE) if os.path.lexists(target / name)]
    known = target / GATE_AUTHORITY
    if there and not (known.is_file() and read_file(known) == authority):
        raise InputError(
            f"{target} holds {', '.join(there)}, and not for the upstream of {address}",
            "Name an empty or new folder.",
        )


def _renewed(folder: UpstreamFolder, path: Path, current: x509.Certificate, now: datetime) -> Pair:
    authority, key = read_authority(folder), _new_key()
    if path == folder.gate:
        return issue_gate(authority, key, now=now, randomness=os.urandom)
    return issue_server(authority, hosts_of(current), key, now=now, randomness=os.urandom)


def _put(folder: UpstreamFolder, path: Path, pair: Pair) -> Issued:
    write_atomic(path, pair.key_pem + pair.certificate_pem)
    return _issued(folder, path, pair.certificate)


def _issued(folder: UpstreamFolder, path: Path, certificate: x509.Certificate) -> Issued:
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    return Issued(folder.address, path.stem, fingerprint, certificate.not_valid_after_utc)


def _new_key() -> ec.EllipticCurvePrivateKey:
    # Every TLS library knows P-256.
    return ec.generate_private_key(ec.SECP256R1())
