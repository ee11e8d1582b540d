# SPDX-License-Identifier: Apache-2.0
"""Create a home in one step: it is there whole, or not at all."""

import fcntl
import glob
import ipaddress
import json
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.issue import Authority, issue_authority, random_serial_number
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import parse_distinguished_name
from pivgate.authority.probes import issue_probes
from pivgate.enrolment import reserve
from pivgate.errors import HomeError, InputError
from pivgate.files import PUBLIC_FILE, make_private_directory, storage_error, write_atomic
from pivgate.gate.snippet import initial_caddyfile
from pivgate.names import quoted
from pivgate.registry.store import Registry
from pivgate.settings import Home

_CONTACT_LIMIT = 200
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# RFC 1123, section 2.1. A name whose last label is all digits would be a mistyped IPv4 address.
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


@dataclass(frozen=True)
class Founding:
    """What a new home is to be.

    Attributes:
        algorithm: Of the authority's key: ``ed25519``, ``p256`` or ``p384``.
        days: Life of the authority's certificate.
        subject: Its name, as ``CN=…,O=…``.
        contact: Whom a refused holder is told to ask.
        https_port: Port of the gate.
        http_port: Port that redirects to it.
        listen: Address to listen on; empty for every one.
        unprotected: Keep the authority's key in the clear, without a passphrase.
    """

    algorithm: str
    days: int
    subject: str
    contact: str
    https_port: int
    http_port: int
    listen: str = ""
    unprotected: bool = False

    def __post_init__(self) -> None:
        """Refuse an address that is none, and one port for both purposes.

        Raises:
            InputError: One of these.
        """
        if self.listen and not _HOST_NAME.fullmatch(self.listen) and not _is_ip_address(self.listen):
            raise InputError(
                f"{quoted(self.listen)} is no address to listen on",
                "Give an IP address or a host name of this machine, without a port.",
            )
        if self.http_port == self.https_port:
            raise InputError(
                f"Port {self.http_port} cannot be for both HTTP and HTTPS",
                "Give different ones with --http-port and --https-port.",
            )


def _is_ip_address(text: str) -> bool:
    # A zone (RFC 4007, section 11) may hold anything, also what means something in a Caddyfile.
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@dataclass(frozen=True)
class Founded:
    """What was made."""

    subject: str
    fingerprint: str
    not_after: datetime


def check_free(home: Home) -> None:
    """Refuse to build a home where something is already.

    Raises:
        HomeError: There is a home, or a folder with something in it, or a file; or its path is too long.
        StorageError: The place cannot be looked at.
    """
    home.check_socket_paths()
    root = home.root
    try:
        if home.settings.exists():
            raise HomeError(
                f"There is already a pivgate home at {root}",
                "Use it as it is, or name another place with --home. To start anew, move it away yourself: "
                "the keys that its authority signed will then no longer work.",
            )
        if root.exists() and not root.is_dir():
            raise HomeError(f"{root} is not a folder", "Name an empty or new folder with --home.")
        if root.exists() and any(root.iterdir()):
            raise HomeError(f"{root} exists and is not empty", "Name an empty or new folder with --home.")
    except OSError as error:
        raise storage_error("look at", root, error) from error


def found(home: Home, plan: Founding, passphrase: bytes, *, actor: str, now: datetime) -> Founded:
    """Make authority, registry, Caddyfile and settings, then put them in place with one rename.

    Raises:
        HomeError: Something has come to be there meanwhile.
        InputError: The subject or the contact cannot be used.
        StorageError: The disk does not take it; nothing is left behind.
    """
    check_free(home)
    if len(plan.contact) > _CONTACT_LIMIT or not plan.contact.isprintable():
        raise InputError(
            f"The contact must be one line of at most {_CONTACT_LIMIT} printable characters", "Shorten it."
        )
    name = parse_distinguished_name(plan.subject)
    try:
        home.root.parent.mkdir(parents=True, exist_ok=True)
        _sweep(home.root)
        site = Path(tempfile.mkdtemp(dir=home.root.parent, prefix=_prefix(home.root)))
    except OSError as error:
        raise storage_error("create", home.root, error) from error
    # Held until we end, so that another `init` can tell our building site from a dead one's.
    descriptor = os.open(site, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        signer = generate(KeyAlgorithm(plan.algorithm))
        certificate = issue_authority(
            name, signer, now=now, days=plan.days, serial_number=random_serial_number(os.urandom)
        )
        authority = Authority(certificate, signer)
        _build(
            Home(site),
            home,
            plan,
            authority,
            signer.encrypted_pem(passphrase, allow_empty=plan.unprotected),
            actor,
            now,
        )
        try:
            site.rename(home.root)
        except OSError as error:
            raise storage_error("create", home.root, error) from error
    finally:
        os.close(descriptor)
        if site.exists():
            shutil.rmtree(site)
    return Founded(
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.not_valid_after_utc,
    )


def _build(
    site: Home, home: Home, plan: Founding, authority: Authority, key_pem: bytes, actor: str, now: datetime
) -> None:
    for directory in (site.authority_key.parent, site.access, site.probes, site.run, site.caddy_storage):
        make_private_directory(directory)
    write_atomic(site.authority_certificate, authority.certificate.public_bytes(Encoding.PEM), PUBLIC_FILE)
    write_atomic(site.authority_key, key_pem)
    for name, (certificate, key) in issue_probes(authority, now=now, randomness=os.urandom).items():
        write_atomic(site.probes / f"{name}.pem", certificate)
        write_atomic(site.probes / f"{name}.key", key)
    caddyfile = initial_caddyfile(
        home.admin_socket, http_port=plan.http_port, https_port=plan.https_port, listen=plan.listen
    )
    write_atomic(site.caddyfile, caddyfile.encode(), PUBLIC_FILE)
    with Registry.create(site.registry, site.audit_head) as registry:
        registry.append_event(
            "authority.create",
            authority.certificate.subject.rfc4514_string(),
            {"algorithm": plan.algorithm},
            actor=actor,
            now=now,
        )
    write_atomic(site.settings, _settings_text(plan).encode(), PUBLIC_FILE)
    reserve.keep(site)


def _settings_text(plan: Founding) -> str:
    # A JSON string is a TOML basic string as well, once the text is printable.
    contact = json.dumps(plan.contact, ensure_ascii=False)
    return (
        "# Settings of this gate; docs/reference/settings.md names each of them.\n"
        "# Whom a refused holder should ask, one line.\n"
        f"contact = {contact}\n"
        "# Days that a new client certificate is valid.\n"
        "client_days = 365\n"
        "# Days until the next revocation list is due.\n"
        "crl_days = 30\n"
    )


def _prefix(root: Path) -> str:
    return f".{root.name}.new-"


def _sweep(root: Path) -> None:
    """Remove the building sites of inits that were killed."""
    for leftover in root.parent.glob(f"{glob.escape(_prefix(root))}*"):
        found = leftover.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            continue
        descriptor = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
