# SPDX-License-Identifier: Apache-2.0
"""Finding the row that a name, a serial number or a fingerprint means; what is not there is an error."""

import re
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, literal_column, select

from pivgate.errors import InputError
from pivgate.names import check_group_name, check_user_name, quoted
from pivgate.registry.faults import UnknownError
from pivgate.registry.schema import certificates, groups, keys, users

# YubiKey serial numbers are unsigned 32-bit numbers.
SERIAL_LIMIT: Final = 2**32
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")

# Written out, so that SQLite sees that the partial indexes apply; a bound parameter would hide it.
KEY_IN_USE: Final = keys.c.state != literal_column("'retired'")


def active_user(connection: Connection, name: str) -> Row[Any]:
    """Find an active user.

    Raises:
        InputError: No user can have that name.
        UnknownError: None has it.
    """
    check_user_name(name)
    row = connection.execute(
        select(users).where(func.lower(users.c.name) == name.lower(), users.c.removed_at.is_(None))
    ).one_or_none()
    if row is None:
        raise UnknownError(f"There is no user {name}", "`pivgate user list` shows the users.")
    if row.name != name:
        raise UnknownError(f"There is no user {name}", f"Did you mean {row.name}?")
    return row


def stored_group(connection: Connection, name: str) -> Row[Any]:
    """Find a group; ``everyone`` is not stored.

    Raises:
        InputError: No group can have that name.
        UnknownError: None has it.
    """
    check_group_name(name)
    row = connection.execute(select(groups).where(groups.c.name == name)).one_or_none()
    if row is None:
        raise UnknownError(f"There is no group {name}", f"Add it with `pivgate group add {name}`.")
    return row


def select_keys() -> Select[Any]:
    """Keys, with the name of their user."""
    return select(keys, users.c.name.label("user"), users.c.removed_at).join_from(keys, users)


def latest_key(connection: Connection, serial: int) -> Row[Any]:
    """Find the newest registration of a YubiKey: the one in use, else the last retired.

    Raises:
        UnknownError: It was never registered.
    """
    check_serial(serial)
    row = connection.execute(
        select_keys().where(keys.c.serial == serial).order_by(keys.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        raise UnknownError(
            f"The key {serial} is not registered",
            "`pivgate key list` shows what is; `pivgate key provision` registers one.",
        )
    return row


def check_serial(serial: int) -> None:
    """Accept a YubiKey's serial number.

    Raises:
        InputError: It is none.
    """
    if not 0 < serial < SERIAL_LIMIT:
        raise InputError(
            f"{serial} cannot be a YubiKey's serial number",
            "It is printed on the key; `pivgate key list` shows it too.",
        )


def select_certificates() -> Select[Any]:
    """Certificates, with their key's serial number and the name of their user."""
    return (
        select(
            certificates,
            keys.c.serial.label("key_serial"),
            keys.c.state.label("key_state"),
            users.c.name.label("user"),
        )
        .join_from(certificates, keys)
        .join(users, keys.c.user_id == users.c.id)
    )


def known_certificate(connection: Connection, fingerprint: str) -> Row[Any]:
    """Find a certificate by its whole fingerprint.

    Raises:
        InputError: That is no fingerprint.
        UnknownError: No certificate has it.
    """
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise InputError(
            f"{quoted(fingerprint)} is not a fingerprint",
            "A fingerprint is the SHA-256 of the certificate's DER: 64 digits 0-9 and small letters a-f.",
        )
    row = connection.execute(
        select_certificates().where(certificates.c.fingerprint == fingerprint)
    ).one_or_none()
    if row is None:
        raise UnknownError(
            f"There is no certificate {fingerprint}", "`pivgate key list` shows the certificates."
        )
    return row
