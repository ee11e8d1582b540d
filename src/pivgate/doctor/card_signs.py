# SPDX-License-Identifier: Apache-2.0
"""Examinations of the smart card service and of the YubiKeys in this machine. Pure."""

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives import hashes

from pivgate.doctor.authority_facts import AuthorityFacts
from pivgate.doctor.card_facts import Card, CardFacts
from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.registry_facts import RegistryFacts
from pivgate.errors import RefusedError
from pivgate.yubikey.chain import check_issued
from pivgate.yubikey.pins import RESET_PIN, RESET_PIV
from pivgate.yubikey.report import PivReport, Report


def service(facts: CardFacts) -> Iterator[Finding | Unseen]:
    """Does the smart card service answer, and see what is plugged in?"""
    if facts.service and facts.installed:
        yield found("pcsc-down", "pcscd", facts.service.message, facts.service.hint)
    elif facts.service and facts.plugged:
        yield found(
            "pcsc-missing",
            "pcscd",
            "a YubiKey is plugged in, and the service through which it is used is not installed",
            "`sudo apt install pcscd`",
        )
    elif facts.service:
        yield Unseen("smart cards", "there is no smart card service here, as on most servers")
    elif facts.plugged > len(facts.cards):
        yield found(
            "card-side-off",
            "YubiKey on USB",
            f"{facts.plugged} plugged in, and {len(facts.cards)} seen as smart cards: the smart card side "
            "of one "
            "is switched off, or this user may not use it",
            "`ykman config usb --enable PIV`, then pull it out and put it in again. Over SSH, polkit may "
            "forbid "
            "it: try `sudo pivgate doctor card`.",
        )
    elif not facts.cards:
        yield Unseen("YubiKeys", "there is none in this machine")


def usable(facts: CardFacts) -> Iterator[Finding]:
    """Can each card be used, and is its PIV application on?"""
    for card in facts.cards:
        if isinstance(card.report, Trouble):
            code = "card-held" if card.report.kind == "HeldError" else "card-unusable"
            yield found(code, card.name, card.report.message, card.report.hint)
        elif card.report.piv is None and card.report.piv_supported:
            locked = (
                "; its configuration is locked, so the code for that is needed" if card.report.locked else ""
            )
            yield found(
                "piv-off",
                card.name,
                f"its PIV application is switched off{locked}",
                "`ykman config usb --enable PIV`, then pull it out and put it in again.",
            )


def secrets(facts: CardFacts) -> Iterator[Finding]:
    """Are PIN, PUK and management key the holder's own, and not blocked?"""
    for card, piv in _provisioned(facts):
        if piv.pin_tries == 0:
            yield found("pin-blocked", card.name, "its PIN is blocked: it logs in nowhere", RESET_PIN)
        elif piv.pin_tries == 1:
            yield found(
                "pin-last-try",
                card.name,
                "one try is left for its PIN; a wrong one blocks it",
                "Give the right PIN once, in a browser or to `ykman piv access change-pin`: that restores "
                "all tries. "
                f"If you are not sure of it: {RESET_PIN}",
            )
        if piv.puk_tries == 0:
            yield found(
                "puk-blocked",
                card.name,
                "its PUK is blocked: once the PIN is blocked too, nothing but a reset helps",
                f"Keep the PIN well. {RESET_PIV}",
            )
        for code, name, known, remedy in (
            ("pin-factory", "PIN", piv.pin_is_factory, "`ykman piv access change-pin`"),
            ("puk-factory", "PUK", piv.puk_is_factory, "`ykman piv access change-puk`"),
            (
                "management-key-factory",
                "management key",
                piv.management_key_is_factory,
                "`ykman piv access change-management-key --generate --protect`",
            ),
        ):
            if known:
                yield found(code, card.name, f"its {name} is the factory's, which everybody knows", remedy)


def slot(facts: CardFacts, now: datetime) -> Iterator[Finding]:
    """Does slot 9a hold a certificate, and the key that belongs to it?"""
    for card in facts.cards:
        if isinstance(card.report, Report) and card.report.piv and _is_empty(card.report.piv):
            yield found(
                "key-not-provisioned",
                card.name,
                "slot 9a holds no certificate, so it logs in nowhere",
                "`pivgate key provision --user USER`",
            )
    for card, piv in _provisioned(facts):
        certificate, key = piv.slot.certificate, piv.slot.key
        if certificate and key and key.public_key and key.public_key != certificate.public_key():
            yield found(
                "slot-key-differs",
                card.name,
                "the key in slot 9a is not the one of its certificate: every login fails",
                "`pivgate key provision --user USER --replace` makes a new pair and a certificate for it.",
            )
        if certificate and certificate.not_valid_after_utc < now:
            yield found(
                "certificate-not-in-force",
                card.name,
                f"its certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}",
                "`pivgate key provision --user USER --replace`",
            )


def membership(
    facts: CardFacts, authority: AuthorityFacts, registry: RegistryFacts, now: datetime
) -> Iterator[Finding | Unseen]:
    """Does the gate let its certificate in?"""
    if isinstance(authority.certificate, Trouble) or isinstance(registry.content, Trouble):
        if any(True for _ in _provisioned(facts)):
            yield Unseen("whether the gate lets these keys in", "there is no home, or it cannot be read")
        return
    admitted = {fingerprint for _, fingerprint in registry.content.access}
    for card, piv in _provisioned(facts):
        certificate = piv.slot.certificate
        if certificate is None or certificate.not_valid_after_utc < now:
            continue
        try:
            check_issued(certificate, authority.certificate, now)
        except RefusedError as error:
            yield found(
                "certificate-foreign",
                card.name,
                f"its certificate, from {certificate.issuer.rfc4514_string()}, is not one of this home's "
                f"authority: {error.message}",
                "For this gate: `pivgate key provision --user USER --replace`, which deletes what is in "
                "slot 9a.",
            )
            continue
        if certificate.fingerprint(hashes.SHA256()).hex() not in admitted:
            yield found(
                "certificate-not-in-force",
                card.name,
                "its certificate is ours, but revoked, replaced by a newer one, or its key is out of use",
                f"`pivgate key show {card.report.serial if isinstance(card.report, Report) else 'SERIAL'}` "
                "tells "
                "which; `pivgate key provision --user USER --replace` gives it a new one.",
            )


def _provisioned(facts: CardFacts) -> Iterator[tuple[Card, PivReport]]:
    for card in facts.cards:
        if isinstance(card.report, Report) and card.report.piv and not _is_empty(card.report.piv):
            yield card, card.report.piv


def _is_empty(piv: PivReport) -> bool:
    return piv.slot.certificate is None
