# SPDX-License-Identifier: Apache-2.0
"""What provisioning is asked to do, whom it works with, and what it says of its progress."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from cryptography import x509

from pivgate.yubikey.algorithms import LeafAlgorithm


class Touch(StrEnum):
    """When a finger on the key is demanded.

    "Always" is not offered: session tickets are off at the gate, so every connection of a browser signs.
    """

    NEVER = "never"
    CACHED = "cached"


@dataclass(frozen=True)
class Secrets:
    """Where secrets come from, each asked only when it is needed and at most once.

    Attributes:
        new_pin: The PIN to set, while the factory's is in force.
        new_puk: The PUK to set, while the factory's is in force.
        pin: The PIN in force, once it is not the factory's; gets the number of tries left.
        management_key: The management key in force when it is neither the factory's nor on the key;
            None when nobody knows it.
    """

    new_pin: Callable[[], str]
    new_puk: Callable[[], str]
    pin: Callable[[int], str]
    management_key: Callable[[], bytes | None] = lambda: None


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Plan:
    """What is wanted of a key.

    Attributes:
        user: Whom it is for; goes into the request, for people to read.
        secrets: Where PIN, PUK and management key come from.
        algorithm: The algorithm of the key pair.
        touch: When a touch is demanded.
        replace: Whether a foreign certificate or key in slot 9a may be overwritten.
        use_last_try: Whether the PIN may be tried when only one try is left.
        now: The clock, UTC.
        randomness: Makes that many random bytes.
    """

    user: str
    secrets: Secrets
    algorithm: LeafAlgorithm = LeafAlgorithm.P384
    touch: Touch = Touch.NEVER
    replace: bool = False
    use_last_try: bool = False
    now: Callable[[], datetime] = _now
    randomness: Callable[[int], bytes] = os.urandom


@dataclass(frozen=True)
class KeyFacts:
    """What a YubiKey says of itself."""

    serial: int
    model: str
    firmware: tuple[int, int, int]
    form_factor: str


@dataclass(frozen=True)
class Resume:
    """What is known of a key from before.

    Attributes:
        started: Provisioning was begun with this key, for this user.
        certificate: Its pending or active certificate.
        active: That certificate is active already.
    """

    started: bool = False
    certificate: x509.Certificate | None = None
    active: bool = False


class Enrolment(Protocol):
    """The side that has the registry and the authority; on this machine or far away."""

    @property
    def authority_certificate(self) -> x509.Certificate:
        """The certificate of the authority that signs."""

    def look_up(self, facts: KeyFacts) -> Resume:
        """Say what is known of this key; changes nothing.

        Raises:
            PivgateError: This key may not be provisioned: it is another's, lost or retired.
        """

    def begin(self, facts: KeyFacts) -> None:
        """Put on record that provisioning begins; may be repeated.

        Only called when nothing on the key stands against it.
        """

    def certify(self, request: bytes) -> x509.Certificate:
        """Issue a certificate for a request (PKCS #10, DER).

        It is on record as pending before this returns.
        """

    def activate(self, certificate: x509.Certificate) -> None:
        """Put a certificate in force: registry first, then access. May be repeated."""


class StepState(StrEnum):
    """How a step stands."""

    STARTED = "started"
    SKIPPED = "skipped"
    DONE = "done"


@dataclass(frozen=True)
class StepEvent:
    """Something to show.

    Attributes:
        name: The step, for programs.
        title: The step, for people.
        state: How it stands; skipped means that it had been done before.
        detail: What was found or done, or what the user has to do now.
    """

    name: str
    title: str
    state: StepState
    detail: str = ""


@dataclass(frozen=True)
class Provisioned:
    """A key that can log in.

    Attributes:
        facts: Which key.
        certificate: The certificate now in slot 9a and in force.
        advice: What its holder has to know, one text each; often nothing.
        changed: Whether anything was done; False when all had been done before.
    """

    facts: KeyFacts
    certificate: x509.Certificate
    advice: tuple[str, ...]
    changed: bool
