# SPDX-License-Identifier: Apache-2.0
"""Examinations of the authority, and of what its certificate and the log say about the clock. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pivgate.doctor.authority_facts import AuthorityFacts
from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.home_facts import HomeFacts
from pivgate.doctor.registry_facts import RegistryFacts
from pivgate.settings import Settings

_SOON: Final = timedelta(days=90)
_NEW_AUTHORITY: Final = (
    "Make a new home with a new authority (`pivgate init` in another folder) and provision every key from it "
    "with `pivgate key provision --replace`."
)


def certificate(facts: AuthorityFacts, now: datetime) -> Iterator[Finding]:
    """Is the authority's certificate there, and in force for long enough?"""
    if isinstance(facts.certificate, Trouble):
        yield found(
            "authority-unreadable", str(facts.path), facts.certificate.message, facts.certificate.hint
        )
        return
    ends = facts.certificate.not_valid_after_utc
    if ends < now:
        yield found(
            "authority-expired",
            str(facts.path),
            f"the authority ended on {ends:%Y-%m-%d}: nobody gets in any more",
            f"{_NEW_AUTHORITY} If that date lies ahead, set this machine's clock.",
        )
    elif ends < now + _SOON:
        yield found(
            "authority-ends-soon",
            str(facts.path),
            f"the authority ends on {ends:%Y-%m-%d}, and with it every certificate that it issued",
            f"{_NEW_AUTHORITY} Begin before that day.",
        )


def key(facts: AuthorityFacts) -> Iterator[Finding]:
    """Is the authority's key there, under a passphrase?"""
    if isinstance(facts.encrypted, Trouble):
        yield found(
            "authority-key-missing",
            str(facts.key_path),
            f"{facts.encrypted.message}; the gate works, but no key can be provisioned",
            "Restore the file from a backup. Where it is kept elsewhere on purpose, that is as it should be.",
        )
    elif not facts.encrypted:
        yield found(
            "authority-key-unprotected",
            str(facts.key_path),
            "the key that signs all certificates is kept without a passphrase",
            f"`openssl pkcs8 -topk8 -v2 aes-256-cbc -in {facts.key_path} -out {facts.key_path}.new && "
            f"chmod 600 {facts.key_path}.new && mv {facts.key_path}.new {facts.key_path}`",
        )


def probes(facts: AuthorityFacts) -> Iterator[Finding]:
    """Can the gate be proved shut?"""
    if facts.probes:
        yield found(
            "probes-missing",
            str(facts.path.parent.parent / "gate" / "probes"),
            f"without these certificates the gate cannot be proved shut, and does not start: "
            f"{facts.probes.message}",
            "Restore the folder from a backup.",
        )


def revocation_list(home: HomeFacts, registry: RegistryFacts, now: datetime) -> Iterator[Finding | Unseen]:
    """Is the revocation list that was given to other programs still good?"""
    if isinstance(registry.content, Trouble):
        yield Unseen("the revocation list", "the registry cannot be read")
        return
    days = home.settings.crl_days if isinstance(home.settings, Settings) else Settings().crl_days
    last = registry.content.last_list
    if last is not None and last + timedelta(days=days) < now:
        yield found(
            "revocation-list-overdue",
            "revocation list",
            f"the last one was signed on {last:%Y-%m-%d} for {days} days: programs that check it refuse "
            "everybody, or nobody",
            "`pivgate ca crl --out FILE`, and give them the new one. The gate itself needs none.",
        )


def clock_and_authority(facts: AuthorityFacts, now: datetime) -> Iterator[Finding | Unseen]:
    """Is the clock past the beginning of the authority?"""
    if isinstance(facts.certificate, Trouble):
        yield Unseen("the clock beside the authority", "the authority's certificate cannot be read")
    elif now < facts.certificate.not_valid_before_utc:
        yield found(
            "clock-before-authority",
            "clock",
            f"it says {now:%Y-%m-%d %H:%M} UTC, before the authority began on "
            f"{facts.certificate.not_valid_before_utc:%Y-%m-%d %H:%M}: every certificate counts as not yet "
            "valid",
            "`sudo timedatectl set-ntp true`, or set the clock by hand with `sudo date -s`.",
        )


def clock_and_log(
    facts: RegistryFacts, authority: AuthorityFacts, now: datetime
) -> Iterator[Finding | Unseen]:
    """Is the clock past the last event?"""
    certificate = authority.certificate
    if not isinstance(certificate, Trouble) and now < certificate.not_valid_before_utc:
        return  # Said already: every event is later than that.
    if isinstance(facts.content, Trouble):
        yield Unseen("the clock beside the log", "the registry cannot be read")
        return
    last = facts.content.last_event
    if last is not None and last > now + timedelta(minutes=5):
        yield found(
            "clock-behind-log",
            "clock",
            f"it says {now:%Y-%m-%d %H:%M} UTC, and the last event was written at {last:%Y-%m-%d %H:%M}: the "
            "clock is wrong now, or was then",
            "`sudo timedatectl set-ntp true`, or set the clock by hand. Certificates that were issued "
            "under a "
            "wrong clock have wrong dates: provision those keys again.",
        )
