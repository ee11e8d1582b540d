# SPDX-License-Identifier: Apache-2.0
"""Keys: registered to a user, lost and found, retired."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert

from pivgate.errors import InputError, RefusedError
from pivgate.names import quoted
from pivgate.registry.database import Database
from pivgate.registry.lookup import active_user, check_serial, latest_key, select_keys
from pivgate.registry.records import Key
from pivgate.registry.schema import keys, users
from pivgate.registry.states import KeyState, RevocationReason, TransitionError
from pivgate.registry.withdrawal import AWAY, move_key, retire_key

_REASON_LIMIT = 200


class Keys(Database):
    """What can be done with keys."""

    def register_key(
        self,
        serial: int,
        *,
        model: str,
        firmware: str,
        form_factor: str,
        user: str,
        actor: str,
        now: datetime,
    ) -> Key:
        """Register a YubiKey to a user, in the state ``provisioning``.

        A key that is the user's already, in provisioning or active, is returned as it is: that is how an
        interrupted provisioning goes on.

        Raises:
            UnknownError: There is no such user.
            RefusedError: The key is somebody else's, or is suspended, lost or damaged.
        """
        check_serial(serial)
        for text in (model, firmware, form_factor):
            _check_line(text)
        with self.writing(actor, now) as change:
            owner = active_user(change.connection, user)
            known = change.connection.execute(
                select_keys().where(keys.c.serial == serial).order_by(keys.c.id.desc()).limit(1)
            ).one_or_none()
            if known is not None and known.state is not KeyState.RETIRED:
                _check_same_owner(known, owner)
                return _key(known)
            change.connection.execute(
                insert(keys),
                {
                    "serial": serial,
                    "model": model,
                    "firmware": firmware,
                    "form_factor": form_factor,
                    "user_id": owner.id,
                    "state": KeyState.PROVISIONING,
                    "reason": "",
                    "barred": 0,
                    "registered_at": change.now,
                    "changed_at": change.now,
                },
            )
            change.record(
                "key.register",
                str(serial),
                user=user,
                model=model,
                firmware=firmware,
                form_factor=form_factor,
            )
            return _key(latest_key(change.connection, serial))

    def key(self, serial: int) -> Key:
        """Return a YubiKey's newest registration: the one in use, else the last retired.

        Raises:
            UnknownError: It was never registered.
        """
        with self.reading() as connection:
            return _key(latest_key(connection, serial))

    def keys(self, user: str | None = None, *, retired: bool = True) -> tuple[Key, ...]:
        """Return registrations in the order in which they were made.

        Args:
            user: Only those of this active user.
            retired: Those that are history, too.

        Raises:
            UnknownError: There is no such user.
        """
        query = select_keys().order_by(keys.c.id)
        if not retired:
            query = query.where(keys.c.state != KeyState.RETIRED)
        with self.reading() as connection:
            if user is not None:
                query = query.where(users.c.id == active_user(connection, user).id)
            return tuple(_key(row) for row in connection.execute(query))

    def set_key_state(
        self, serial: int, state: KeyState, reason: str = "", *, actor: str, now: datetime
    ) -> Key:
        """Bring a key into another state; one that is in it already stays as it is.

        Out of use (suspended, lost, damaged) its certificates stay as they are, but open nothing.
        Retiring revokes them for good (see ``revoke_key`` to say why).

        Args:
            serial: The YubiKey's serial number.
            state: The state to come to.
            reason: One line for the record.
            actor: Who says so.
            now: When.

        Raises:
            UnknownError: The key is not registered.
            TransitionError: There is no such way, or the key cannot come back since a certificate of it
                was revoked meanwhile.
        """
        if state is KeyState.RETIRED:
            return self.revoke_key(
                serial, RevocationReason.CESSATION_OF_OPERATION, reason, actor=actor, now=now
            )
        _check_line(reason)
        with self.writing(actor, now) as change:
            row = latest_key(change.connection, serial)
            if row.state is not state:
                _check_return(row, state)
                move_key(change, row, state, reason)
            return _key(latest_key(change.connection, serial))

    def revoke_key(
        self,
        serial: int,
        revocation: RevocationReason,
        reason: str = "",
        *,
        actor: str,
        now: datetime,
    ) -> Key:
        """Retire a key and revoke all its certificates, in one change. It is final.

        Args:
            serial: The YubiKey's serial number.
            revocation: The reason for the revocation list.
            reason: One line for the record.
            actor: Who says so.
            now: When.

        Raises:
            UnknownError: The key is not registered.
        """
        _check_line(reason)
        with self.writing(actor, now) as change:
            row = latest_key(change.connection, serial)
            if row.state is not KeyState.RETIRED:
                retire_key(change, row, revocation, reason)
            return _key(latest_key(change.connection, serial))


def _check_same_owner(known: Row[Any], owner: Row[Any]) -> None:
    if known.user_id != owner.id:
        raise RefusedError(
            f"The key {known.serial} belongs to {known.user}",
            f"Retire it first with `pivgate key revoke {known.serial}`, or use another key.",
        )
    if known.state not in (KeyState.PROVISIONING, KeyState.ACTIVE):
        raise RefusedError(
            f"The key {known.serial} is {known.state}",
            f"Bring it back with `pivgate key found {known.serial}`, or retire it with `pivgate key revoke`.",
        )


def _check_return(row: Row[Any], new: KeyState) -> None:
    if new is not KeyState.ACTIVE:
        return
    if row.state is KeyState.PROVISIONING:
        raise TransitionError(
            f"The key {row.serial} is in provisioning; it becomes active with its certificate",
            f"Finish it with `pivgate key provision --user {row.user} --serial {row.serial}`.",
        )
    if row.barred and row.state in AWAY:
        raise TransitionError(
            f"The key {row.serial} cannot come back: "
            f"a certificate of it was revoked while it was {row.state}",
            f"Retire it with `pivgate key revoke {row.serial}`, then provision it anew.",
        )


def _check_line(text: str) -> None:
    if len(text) > _REASON_LIMIT or not text.isprintable():
        raise InputError(
            f"{quoted(text)} is not one line of at most {_REASON_LIMIT} printable characters",
            "Write it shorter, on one line.",
        )


def _key(row: Row[Any]) -> Key:
    return Key(
        serial=row.serial,
        model=row.model,
        firmware=row.firmware,
        form_factor=row.form_factor,
        user=row.user,
        state=row.state,
        reason=row.reason,
        barred=bool(row.barred),
        registered_at=row.registered_at,
        changed_at=row.changed_at,
    )
