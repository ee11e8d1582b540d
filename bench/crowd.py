# SPDX-License-Identifier: Apache-2.0
"""Many people with a key and a certificate each, written straight into the tables, with their events."""

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Table, create_engine, func, insert, select

from bench.place import ACTOR, FIRST_SERIAL, PROFILE, Place, now
from pivgate.registry.audit import Head, next_event
from pivgate.registry.head import read_head, write_head
from pivgate.registry.schema import certificates, events, keys, users
from pivgate.registry.states import CertificateState, KeyState, RevocationReason

_AT_ONCE = 5_000
# About as long as a certificate for a P-384 key.
_DER_LENGTH = 600
_FIRST_ID = 1_000


def fill(there: Place, size: int, state: CertificateState = CertificateState.ACTIVE) -> list[str]:
    """Add people to a registry without waiting for the disk; the access tree is the caller's affair.

    Call it when nobody else writes.

    Returns:
        The fingerprints of their certificates, all in that state.
    """
    engine = create_engine(f"sqlite:///{there.home.registry}")
    fingerprints: list[str] = []
    head = read_head(there.home.audit_head)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.exec_driver_sql("PRAGMA cache_size = -1000000")
        first = max(_FIRST_ID, (connection.scalar(select(func.max(users.c.id))) or 0) + 1)
        connection.rollback()
        for start in range(first, first + size, _AT_ONCE):
            rows, head = _rows(range(start, min(start + _AT_ONCE, first + size)), head, state)
            with connection.begin():
                for table, values in rows.items():
                    connection.execute(insert(table), values)
            fingerprints += [row["fingerprint"] for row in rows[certificates]]
    engine.dispose()
    write_head(there.home.audit_head, head)
    return fingerprints


def _rows(
    numbers: range, head: Head, state: CertificateState
) -> tuple[dict[Table, list[dict[str, Any]]], Head]:
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in (users, keys, certificates, events)}
    moment = now()
    reason = RevocationReason.SUPERSEDED if state is CertificateState.REVOKED else None
    for number, der in zip(numbers, _certificates(), strict=False):
        own = {"id": number}
        name, fingerprint = f"person-{number}", hashlib.sha256(der).hexdigest()
        rows[users].append(
            own | {"name": name, "display_name": name, "email": None, "added_at": moment, "removed_at": None}
        )
        rows[keys].append(
            own
            | {"serial": FIRST_SERIAL * 10 + number, "user_id": own["id"], "state": KeyState.ACTIVE}
            | {"model": "YubiKey 5C NFC", "firmware": "5.7.4", "form_factor": "USB-C keychain"}
            | {"reason": "", "barred": 0, "registered_at": moment, "changed_at": moment}
        )
        rows[certificates].append(
            own
            | {"fingerprint": fingerprint, "serial_number": der[:16].hex().lstrip("0"), "der": der}
            | {"key_id": own["id"], "profile": PROFILE, "state": state, "reason": reason}
            | {"not_before": moment - timedelta(days=1), "not_after": moment + timedelta(days=364)}
            | {"recorded_at": moment, "changed_at": moment}
        )
        event = next_event(
            head, time=moment, actor=ACTOR, action=f"certificate.{state}", subject=fingerprint, detail={}
        )
        head = Head(event.sequence, event.hash)
        rows[events].append(dict(vars(event)))
    return rows, head


def _certificates() -> Iterator[bytes]:
    while True:
        yield os.urandom(_DER_LENGTH)
