# SPDX-License-Identifier: Apache-2.0
"""An emulated key kept in a file, between two runs of a program.

The file holds private keys, PIN and PUK as they are. Nothing protects them but the file's mode, and the file
says so; one that says otherwise is refused.
"""

import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pivgate.emulator.attestation import AttestationIdentity
from pivgate.emulator.firmware import FIRMWARE, Capability
from pivgate.emulator.management import LOCK_LENGTH, ManagementState
from pivgate.emulator.piv import state as piv_state
from pivgate.emulator.yubikey import EmulatedYubiKey, Randomness

FORMAT = "emulated YubiKey"
VERSION = 1
WARNING = (
    "The private keys, PIN and PUK in this file are NOT PROTECTED. Whoever reads it has the key. "
    "It belongs to an emulator for tests and demonstrations; trust nothing to it."
)
MODE = 0o600
LARGEST = 4 << 20
"""Bytes that a state file may have; a full key has less than a tenth of it."""

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm)


class StateFileError(Exception):
    """A state file cannot be used; the message says which and why."""


def save(yubikey: EmulatedYubiKey, path: Path) -> None:
    """Write a key's whole state, in one step.

    Raises:
        OSError: The file cannot be written; the old one is untouched.
    """
    _write(path, _encode(yubikey))


def keep(yubikey: EmulatedYubiKey, path: Path) -> None:
    """Save a key now, and from now on whenever a command has changed it, before the reply goes out.

    Raises:
        OSError: The file cannot be written. Later, ``EmulatedYubiKey.transmit`` raises it.
    """
    last = ""

    def store() -> None:
        nonlocal last
        text = _encode(yubikey)
        if text != last:
            _write(path, text)
            last = text

    store()
    yubikey.store = store


def load(
    path: Path,
    *,
    randomness: Randomness = os.urandom,
    clock: Callable[[], float] = time.monotonic,
    touch: Callable[[], bool] = lambda: True,
) -> EmulatedYubiKey:
    """Plug in a key that was saved. Use ``keep`` to go on saving it.

    Raises:
        StateFileError: Others may read the file, or it is not a state file of this version.
        OSError: The file cannot be read.
    """
    document = _read(path)
    try:
        firmware = FIRMWARE[document["firmware"]]
        yubikey = EmulatedYubiKey(
            firmware,
            _number(document["serial"], 1, 0xFFFFFFFF),
            randomness=randomness,
            clock=clock,
            touch=touch,
            attestation=_restore_attestation(document["attestation"]),
        )
        yubikey.management.state = _restore_management(document["management"])
        yubikey.piv.state = piv_state.restore(document["piv"])
    except _DAMAGE as error:
        raise StateFileError(f"{path} is damaged: {type(error).__name__} {error}") from error
    return yubikey


def _encode(yubikey: EmulatedYubiKey) -> str:
    document = {
        "format": FORMAT,
        "version": VERSION,
        "warning": WARNING,
        "firmware": yubikey.firmware.name,
        "serial": yubikey.serial,
        "management": _dump_management(yubikey.management.state),
        "attestation": _dump_attestation(yubikey.attestation),
        "piv": piv_state.dump(yubikey.piv.state),
    }
    return json.dumps(document, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    # mkstemp makes the file with mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _read(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StateFileError(f"{path} is not a file")
        if stat.S_IMODE(status.st_mode) != MODE:
            raise StateFileError(
                f"{path} has mode {stat.S_IMODE(status.st_mode):04o}; the keys in it are not protected by "
                f"anything else, so it must have mode {MODE:04o}"
            )
        data = file.read(LARGEST + 1)
    try:
        document = json.loads(data) if len(data) <= LARGEST else None
    except (ValueError, RecursionError) as error:
        raise StateFileError(f"{path} is not an emulated key: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StateFileError(f"{path} is not an emulated key")
    if document.get("version") != VERSION:
        raise StateFileError(f"{path} has version {document.get('version')!r}, known is {VERSION}")
    if document.get("warning") != WARNING:
        raise StateFileError(f"{path} no longer carries the warning that its keys are not protected")
    return document


def _dump_management(state: ManagementState) -> dict[str, Any]:
    return {
        "usb_enabled": int(state.usb_enabled),
        "nfc_enabled": int(state.nfc_enabled),
        "mode": state.mode,
        "eject_timeout": state.eject_timeout,
        "challenge_timeout": state.challenge_timeout,
        "device_flags": state.device_flags,
        "lock_code": state.lock_code.hex(),
        "nfc_restricted": state.nfc_restricted,
    }


def _restore_management(fields: dict[str, Any]) -> ManagementState:
    lock_code = bytes.fromhex(fields["lock_code"])
    if len(lock_code) != LOCK_LENGTH:
        raise ValueError("the lock code has a wrong length")
    if not isinstance(fields["nfc_restricted"], bool):
        raise TypeError("nfc_restricted is neither true nor false")
    return ManagementState(
        usb_enabled=Capability(_number(fields["usb_enabled"], 0, 0xFFFF)),
        nfc_enabled=Capability(_number(fields["nfc_enabled"], 0, 0xFFFF)),
        mode=_number(fields["mode"], 0, 0xFF),
        eject_timeout=_number(fields["eject_timeout"], 0, 0xFFFF),
        challenge_timeout=_number(fields["challenge_timeout"], 0, 0xFF),
        device_flags=_number(fields["device_flags"], 0, 0xFF),
        lock_code=lock_code,
        nfc_restricted=fields["nfc_restricted"],
    )


def _dump_attestation(identity: AttestationIdentity) -> dict[str, Any]:
    key = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "key": key.decode(),
        "certificate": identity.certificate.public_bytes(Encoding.PEM).decode(),
        "chain": [certificate.public_bytes(Encoding.PEM).decode() for certificate in identity.chain],
    }


def _restore_attestation(fields: dict[str, Any]) -> AttestationIdentity:
    key = load_pem_private_key(fields["key"].encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("the attestation key is neither RSA nor elliptic-curve")
    if not fields["chain"]:
        raise ValueError("the attestation chain is empty")
    return AttestationIdentity(
        key,
        x509.load_pem_x509_certificate(fields["certificate"].encode()),
        tuple(x509.load_pem_x509_certificate(pem.encode()) for pem in fields["chain"]),
    )


def _number(value: object, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{value!r} is not between {lowest} and {highest}")
    return value
