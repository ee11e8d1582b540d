# SPDX-License-Identifier: Apache-2.0
"""Certificates: recorded when issued, activated when on the key, revoked or superseded later."""

import hashlib
import re
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, false, insert, or_, select

from pivgate.errors import InputError, RefusedError
from pivgate.names import quoted
from pivgate.registry.database import Database, Transaction
from pivgate.registry.faults import UnknownError
from pivgate.registry.lookup import SERIAL_LIMIT, known_certificate, latest_key, select_certificates
from pivgate.registry.records import Certificate
from pivgate.registry.schema import certificates, keys, users
from pivgate.registry.states import CertificateState, KeyState, RevocationReason, TransitionError
from pivgate.registry.withdrawal import move_certificate, move_key

# Fewer digits would fit many a name and many a serial number by chance.
_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_SERIAL_NUMBER = re.compile(r"[0-9a-f]{1,42}")
_DECIMAL = re.compile(r"[0-9]{1,20}")


class Certificates(Database):
    """What can be done with certificates."""

    def record_certificate(
        self, der: bytes, key_serial: int, profile: str, *, actor: str, now: datetime
    ) -> Certificate:
        """Record a certificate that was issued, as pending; another pending one of the key is superseded.

        Recording the same certificate again, for the same key, changes nothing.

        Args:
            der: The certificate.
            key_serial: The YubiKey that holds its private key.
            profile: The name of its profile.
            actor: Who issued it.
            now: When.

        Raises:
            InputError: That is no certificate.
            UnknownError: The key is not registered.
            RefusedError: The key is out of use, or the serial number or certificate belongs elsewhere.
        """
        parsed = _parse(der)
        with self.writing(actor, now) as change:
            key = latest_key(change.connection, key_serial)
            if (known := _recorded(change, parsed, key)) is not None:
                return known
            if key.state not in (KeyState.PROVISIONING, KeyState.ACTIVE):
                raise RefusedError(
                    f"The key {key_serial} is {key.state}, so no certificate is recorded for it",
                    f"`pivgate key show {key_serial}` shows its state.",
                )
            _supersede(change, key.id, CertificateState.PENDING)
            change.connection.execute(
                insert(certificates),
                parsed
                | {
                    "key_id": key.id,
                    "profile": profile,
                    "state": CertificateState.PENDING,
                    "recorded_at": change.now,
                    "changed_at": change.now,
                },
            )
            change.record(
                "certificate.record",
                parsed["fingerprint"],
                user=key.user,
                key=key_serial,
                profile=profile,
                serial_number=parsed["serial_number"],
                not_after=parsed["not_after"].isoformat(),
            )
            return _certificate(known_certificate(change.connection, parsed["fingerprint"]))

    def activate_certificate(self, fingerprint: str, *, actor: str, now: datetime) -> Certificate:
        """Put a pending certificate in force: the key holds it.

        The key becomes active if it was in provisioning; the key's certificate so far is superseded.
        One that is active already stays as it is.

        Raises:
            UnknownError: There is no such certificate.
            TransitionError: It is not pending, or is past its end, or its key is out of use.
        """
        with self.writing(actor, now) as change:
            row = known_certificate(change.connection, fingerprint)
            key = latest_key(change.connection, row.key_serial)
            if key.id != row.key_id or key.state not in (KeyState.PROVISIONING, KeyState.ACTIVE):
                state = key.state if key.id == row.key_id else KeyState.RETIRED
                raise TransitionError(
                    f"The certificate {fingerprint[:16]} cannot become active: its key is {state}",
                    f"`pivgate key show {row.key_serial}` shows the key.",
                )
            if row.not_after < change.now:
                raise TransitionError(
                    f"The certificate {fingerprint[:16]} cannot become active: "
                    f"it ended on {row.not_after:%Y-%m-%d}",
                    "Provision the key again; it gets a new certificate.",
                )
            if row.state is not CertificateState.ACTIVE:
                _supersede(change, key.id, CertificateState.ACTIVE)
                move_certificate(change, row, CertificateState.ACTIVE)
            if key.state is KeyState.PROVISIONING:
                move_key(change, key, KeyState.ACTIVE, "")
            return _certificate(known_certificate(change.connection, fingerprint))

    def revoke_certificate(
        self, fingerprint: str, reason: RevocationReason, *, actor: str, now: datetime
    ) -> Certificate:
        """Revoke a certificate for good; one that is revoked already stays as it is.

        Raises:
            UnknownError: There is no such certificate.
        """
        with self.writing(actor, now) as change:
            row = known_certificate(change.connection, fingerprint)
            if row.state is not CertificateState.REVOKED:
                move_certificate(change, row, CertificateState.REVOKED, reason)
            return _certificate(known_certificate(change.connection, fingerprint))

    def certificate(self, fingerprint: str) -> Certificate:
        """Return a certificate.

        Args:
            fingerprint: SHA-256 of its DER, 64 lower-case hexadecimal digits.

        Raises:
            UnknownError: There is none.
        """
        with self.reading() as connection:
            return _certificate(known_certificate(connection, fingerprint))

    def certificates(
        self,
        user: str | None = None,
        key: int | None = None,
        state: CertificateState | None = None,
    ) -> tuple[Certificate, ...]:
        """Return certificates in the order in which they were issued.

        Args:
            user: Only those of users of this name, removed ones too.
            key: Only those of the YubiKey with this serial number, in all its registrations.
            state: Only those in this state.
        """
        query = select_certificates().order_by(certificates.c.id)
        if user is not None:
            query = query.where(users.c.name == user)
        if key is not None:
            query = query.where(keys.c.serial == key)
        if state is not None:
            query = query.where(certificates.c.state == state)
        with self.reading() as connection:
            return tuple(_certificate(row) for row in connection.execute(query))

    def find_certificates(self, selector: str) -> tuple[Certificate, ...]:
        """Return all certificates that somebody may mean.

        Args:
            selector: A fingerprint or its first eight digits or more, a certificate's serial number in
                hexadecimal, a YubiKey's serial number, or a user's name. Colons and case do not matter in
                hexadecimal numbers. What fits in several ways is returned for each of them.

        Raises:
            UnknownError: Nothing fits.
        """
        with self.reading() as connection:
            rows = connection.execute(_matching(selector)).all()
        if not rows:
            raise UnknownError(
                f"No certificate fits {quoted(selector)}",
                "Give a fingerprint, a serial number of a certificate or key, or a user's name.",
            )
        return tuple(_certificate(row) for row in rows)


def _matching(selector: str) -> Select[Any]:
    digits = selector.replace(":", "").lower()
    ways: list[Any] = []
    if _PREFIX.fullmatch(digits):
        ways.append(certificates.c.fingerprint.between(digits, digits + "g"))
    if _SERIAL_NUMBER.fullmatch(digits):
        ways.append(certificates.c.serial_number == digits.lstrip("0"))
    # The digits are counted first: Python turns only so many into a number.
    if _DECIMAL.fullmatch(selector) and int(selector) < SERIAL_LIMIT:
        ways.append(certificates.c.key_id.in_(select(keys.c.id).where(keys.c.serial == int(selector))))
    if selector.isascii():
        owners = select(users.c.id).where(users.c.name == selector)
        ways.append(certificates.c.key_id.in_(select(keys.c.id).where(keys.c.user_id.in_(owners))))
    return select_certificates().where(or_(false(), *ways)).order_by(certificates.c.id)


def _parse(der: bytes) -> dict[str, Any]:
    # Imported here: only issuing needs it, and it takes longer to load than the whole of a revocation.
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise InputError(f"That is not a certificate: {error}", "Give a certificate in DER form.") from error
    return {
        "fingerprint": hashlib.sha256(der).hexdigest(),
        "serial_number": f"{parsed.serial_number:x}",
        "not_before": parsed.not_valid_before_utc,
        "not_after": parsed.not_valid_after_utc,
        "der": der,
    }


def _recorded(change: Transaction, parsed: dict[str, Any], key: Row[Any]) -> Certificate | None:
    row = change.connection.execute(
        select_certificates().where(
            or_(
                certificates.c.fingerprint == parsed["fingerprint"],
                certificates.c.serial_number == parsed["serial_number"],
            )
        )
    ).first()
    if row is None:
        return None
    if row.fingerprint != parsed["fingerprint"]:
        raise RefusedError(
            f"There is another certificate with the serial number {parsed['serial_number']}",
            "An authority never gives a serial number twice; issue the certificate again.",
        )
    if row.key_id != key.id:
        raise RefusedError(
            f"The certificate {row.fingerprint[:16]} was recorded for the key {row.key_serial} of {row.user}",
            "Issue a certificate for this key.",
        )
    return _certificate(row)


def _supersede(change: Transaction, key_id: int, state: CertificateState) -> None:
    rows = change.connection.execute(
        select_certificates().where(certificates.c.key_id == key_id, certificates.c.state == state)
    ).all()
    for row in rows:
        move_certificate(change, row, CertificateState.SUPERSEDED)


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(
        fingerprint=row.fingerprint,
        serial_number=int(row.serial_number, 16),
        key_serial=row.key_serial,
        user=row.user,
        profile=row.profile,
        not_before=row.not_before,
        not_after=row.not_after,
        state=row.state,
        reason=row.reason,
        recorded_at=row.recorded_at,
        changed_at=row.changed_at,
        der=row.der,
    )
