# SPDX-License-Identifier: Apache-2.0
"""The tables, as the code sees them. ``migrations`` makes them; a test holds the two together."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pivgate.registry.faults import damaged
from pivgate.registry.states import CertificateState, KeyState, RevocationReason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """A moment, stored as microseconds since 1970 in UTC: exact, comparable in SQL, and quick."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Store a moment; one without a time zone means nothing, and is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read a moment."""
        if value is None:
            return None
        try:
            return _EPOCH + value * _MICROSECOND
        except OverflowError as error:
            raise damaged("file", f"{value} is not a time") from error


class State(TypeDecorator[StrEnum]):
    """One of the states of an enumeration, stored as its word."""

    impl = Text
    cache_ok = True

    def __init__(self, states: type[StrEnum]) -> None:
        super().__init__()
        self.states = states

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Store a state."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Read a state."""
        if value is None:
            return None
        try:
            return self.states(value)
        except ValueError as error:
            raise damaged("file", f"{value!a} is not a state") from error


metadata = MetaData()


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, UtcTime, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable)


users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("name"),
    _text("display_name"),
    _text("email", nullable=True),
    _time("added_at"),
    _time("removed_at", nullable=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("serial", Integer, nullable=False),
    _text("model"),
    _text("firmware"),
    _text("form_factor"),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("state", State(KeyState), nullable=False),
    _text("reason"),
    Column("barred", Integer, nullable=False),
    _time("registered_at"),
    _time("changed_at"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("fingerprint"),
    # X.509 serial numbers have up to 160 bits: kept as hexadecimal digits.
    _text("serial_number"),
    Column("key_id", Integer, ForeignKey("keys.id"), nullable=False),
    _text("profile"),
    _time("not_before"),
    _time("not_after"),
    Column("state", State(CertificateState), nullable=False),
    Column("reason", State(RevocationReason), nullable=True),
    _time("recorded_at"),
    _time("changed_at"),
    Column("der", LargeBinary, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("name"),
    _time("added_at"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", Integer, ForeignKey("groups.id"), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id"), primary_key=True),
    _time("until", nullable=True),
    _time("added_at"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    _time("time"),
    _text("actor"),
    _text("action"),
    _text("subject"),
    _text("detail"),
    _text("previous"),
    _text("hash"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)
