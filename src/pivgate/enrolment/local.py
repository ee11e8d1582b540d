# SPDX-License-Identifier: Apache-2.0
"""Enrol the key in this machine, with the authority and the registry on this machine."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pivgate.authority.issue import Authority, issue_client
from pivgate.authority.names import Subject
from pivgate.authority.policy import check_public_key
from pivgate.authority.request import parse_request
from pivgate.enrolment.access import grant
from pivgate.errors import RefusedError
from pivgate.files import exclusive_lock
from pivgate.gate.access import withdraw
from pivgate.registry.faults import UnknownError
from pivgate.registry.records import Certificate, Key
from pivgate.registry.states import CertificateState, KeyState
from pivgate.registry.store import Registry
from pivgate.settings import Home
from pivgate.yubikey.plan import KeyFacts, Resume

PROFILE = "client"

# Why a key that is neither new nor in use cannot be provisioned, and what to do.
_STANDS_AGAINST = {
    KeyState.LOST: "If it has been found, say so first: `pivgate key found {serial}`.",
    KeyState.SUSPENDED: "Put it back into use first: `pivgate key found {serial}`.",
    KeyState.DAMAGED: "Take another key; this one was reported damaged.",
}


class LocalEnrolment:
    """The registry's and the authority's side of provisioning, for one person.

    The lock of the home is held only for the moment of each change: a holder who thinks about a new PIN must
    not keep anybody from reporting a key as lost.

    Args:
        home: Where the access tree is.
        registry: Opened; the lock of the home is not held.
        user: Whose key it will be.
        unlock: Returns the authority ready to sign; called only when something must be signed.
        authority_certificate: The authority's certificate, which needs no unlocking.
        client_days: Days that a new certificate is valid.
        actor: Who runs the command.
        clock: The time, UTC.
        renew_within: A certificate that ends within this time is not taken up again: a new one is issued.
    """

    def __init__(
        self,
        home: Home,
        registry: Registry,
        user: str,
        *,
        unlock: Callable[[], Authority],
        authority_certificate: x509.Certificate,
        client_days: int,
        actor: str,
        clock: Callable[[], datetime],
        renew_within: timedelta = timedelta(0),
    ) -> None:
        self.authority_certificate = authority_certificate
        self._home = home
        self._registry = registry
        self._user = registry.user(user)
        self._unlock = unlock
        self._client_days = client_days
        self._actor = actor
        self._clock = clock
        self._renew_within = renew_within
        self._facts: KeyFacts | None = None

    def look_up(self, facts: KeyFacts) -> Resume:
        """Say what the registry knows of a key, and refuse one that may not be provisioned."""
        self._registry.check_head()
        self._facts = facts
        key = self._registered(facts.serial)
        if key is None:
            return Resume()
        if key.user != self._user.name:
            raise RefusedError(
                f"YubiKey {key.serial} is {key.user}'s, not {self._user.name}'s",
                f"If it is to change hands, end its first life: `pivgate key revoke {key.serial}`.",
            )
        if key.state in _STANDS_AGAINST:
            raise RefusedError(
                f"YubiKey {key.serial} is {key.state}", _STANDS_AGAINST[key.state].format(serial=key.serial)
            )
        current = self._current_certificate(key)
        if current is None:
            return Resume(started=True)
        return Resume(
            started=True,
            certificate=x509.load_der_x509_certificate(current.der),
            active=current.state is CertificateState.ACTIVE and key.state is KeyState.ACTIVE,
        )

    def begin(self, facts: KeyFacts) -> None:
        """Enter the key into the registry, unless it is there."""
        with exclusive_lock(self._home.lock):
            if self._registered(facts.serial) is None:
                self._registry.register_key(
                    facts.serial,
                    model=facts.model,
                    firmware=".".join(map(str, facts.firmware)),
                    form_factor=facts.form_factor,
                    user=self._user.name,
                    actor=self._actor,
                    now=self._clock(),
                )

    def certify(self, request: bytes) -> x509.Certificate:
        """Sign a certificate for the key and record it as pending, before anybody has it."""
        if self._facts is None:
            raise RuntimeError("look_up() comes before certify()")
        parsed = parse_request(request)
        check_public_key(parsed.public_key, self._facts.firmware)
        authority = self._unlock()
        certificate = issue_client(
            parsed,
            Subject(self._user.name, self._user.email),
            authority,
            now=self._clock(),
            days=self._client_days,
            randomness=os.urandom,
        )
        with exclusive_lock(self._home.lock):
            self._registry.record_certificate(
                certificate.public_bytes(Encoding.DER),
                self._facts.serial,
                PROFILE,
                actor=self._actor,
                now=self._clock(),
            )
        return certificate

    def activate(self, certificate: x509.Certificate) -> None:
        """Admit the certificate: registry first, then the access tree."""
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        with exclusive_lock(self._home.lock):
            record = self._registry.certificate(fingerprint)
            if record.state is not CertificateState.ACTIVE:
                # What it supersedes is out of the tree before the registry says so.
                older = self._registry.certificates(key=record.key_serial, state=CertificateState.ACTIVE)
                withdraw(self._home.access, [one.fingerprint for one in older])
                self._registry.activate_certificate(fingerprint, actor=self._actor, now=self._clock())
            grant(self._home, self._registry, self._user.name, actor=self._actor, now=self._clock())

    def _registered(self, serial: int) -> Key | None:
        """Return the registration in which this key is now; a retired one is history."""
        try:
            key = self._registry.key(serial)
        except UnknownError:
            return None
        return None if key.state is KeyState.RETIRED else key

    def _current_certificate(self, key: Key) -> Certificate | None:
        needed_until = self._clock() + self._renew_within
        for state in (CertificateState.ACTIVE, CertificateState.PENDING):
            for certificate in self._registry.certificates(key=key.serial, state=state):
                if certificate.user == key.user and certificate.not_after > needed_until:
                    return certificate
        return None
