# SPDX-License-Identifier: Apache-2.0
"""Examinations of people, their keys and certificates, as the registry has them. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.registry_facts import RegistryContent, RegistryFacts
from pivgate.registry.records import Certificate
from pivgate.registry.states import KeyState

_SOON: Final = timedelta(days=30)
_SHOWN: Final = 5
_UNSEEN: Final = Unseen("people and their keys", "the registry cannot be read")


def keys(facts: RegistryFacts) -> Iterator[Finding | Unseen]:
    """Does everybody have a key, and a second one for the day when the first is lost?"""
    if isinstance(facts.content, Trouble):
        yield _UNSEEN
        return
    states = {KeyState.ACTIVE, KeyState.PROVISIONING}
    owned = Counter(key.user for key in facts.content.keys if key.state in states)
    names = [user.name for user in facts.content.users]
    if without := [name for name in names if not owned[name]]:
        yield found(
            "user-without-key",
            _listed(without),
            "has no key, and gets in nowhere",
            f"`pivgate key provision --user {without[0]}`, or `pivgate user remove {without[0]}`.",
        )
    if alone := [name for name in names if owned[name] == 1]:
        yield found(
            "user-with-one-key",
            _listed(alone),
            "has one key; without it, they are locked out",
            f"Give them a second one, to be kept elsewhere: `pivgate key provision --user {alone[0]}`.",
        )


def unfinished(facts: RegistryFacts) -> Iterator[Finding]:
    """Was every provisioning finished?"""
    if isinstance(facts.content, Trouble):
        return
    for key in facts.content.keys:
        if key.state is KeyState.PROVISIONING:
            yield found(
                "key-not-finished",
                f"YubiKey {key.serial} of {key.user}",
                f"its provisioning was begun on {key.registered_at:%Y-%m-%d} and not finished",
                f"Put it in: `pivgate key provision --user {key.user} --serial {key.serial}` goes on.",
            )


def certificates(facts: RegistryFacts, now: datetime) -> Iterator[Finding]:
    """Is every certificate in use still good, for long enough, and of use to a browser?"""
    if isinstance(facts.content, Trouble):
        return
    for one in _in_use(facts.content):
        what = f"certificate of {one.user} on YubiKey {one.key_serial}"
        again = f"`pivgate key provision --user {one.user} --serial {one.key_serial}"
        if one.not_after < now:
            yield found(
                "certificate-expired",
                what,
                f"ended on {one.not_after:%Y-%m-%d}",
                f"Put the key in: {again} --replace`.",
            )
        elif one.not_after < now + _SOON:
            yield found(
                "certificate-ends-soon",
                what,
                f"ends on {one.not_after:%Y-%m-%d}",
                f"Put the key in: {again} --replace`.",
            )
        if _is_ed25519(one):
            yield found(
                "ed25519-certificate",
                what,
                "has an Ed25519 key, which no browser logs in with; `pivgate probe` and `connect` do",
                f"For a browser: {again} --algorithm p256 --replace`.",
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _in_use(content: RegistryContent) -> list[Certificate]:
    active = {key.serial for key in content.keys if key.state is KeyState.ACTIVE}
    return [one for one in content.active if one.key_serial in active]


def _is_ed25519(one: Certificate) -> bool:
    try:
        public_key = x509.load_der_x509_certificate(one.der).public_key()
    except ValueError:
        # The chain of events is what guards the registry's content; a bad DER is not ours to judge here.
        return False
    return isinstance(public_key, ed25519.Ed25519PublicKey)
