# SPDX-License-Identifier: Apache-2.0
"""``pivgate key``: the life of a key, from the factory to its end."""

import re
import time
from typing import TYPE_CHECKING

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.key_last_resort import close_by_fingerprint
from pivgate.cli.key_list import list_keys
from pivgate.cli.key_provision import provision_key, reset_pin
from pivgate.cli.key_show import show_key, verify_key
from pivgate.cli.output import confirm, yes_option
from pivgate.cli.proof import prove_withdrawal, sever_option, severing
from pivgate.cli.workplace import actor, changing, now, reading
from pivgate.errors import PivgateError

if TYPE_CHECKING:
    from pivgate.registry.records import Key
    from pivgate.registry.store import Registry

_SERIAL = re.compile("[0-9]{1,10}")

# RFC 5280, section 5.3.1. A hold is not a revocation: that is `key lost`.
REASONS = (
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)


@click.group(cls=CommandGroup)
def key() -> None:
    """YubiKeys: provision, look at, revoke, find again."""


key.add_command(list_keys)
key.add_command(show_key)
key.add_command(provision_key)
key.add_command(verify_key)
key.add_command(reset_pin)


@key.command()
@click.argument("which", metavar="SERIAL|FINGERPRINT|USER")
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    metavar="REASON",
    default="unspecified",
    show_default=True,
    help=f"{', '.join(REASONS[:-1])} or {REASONS[-1]}.",
)
@sever_option
@yes_option
def revoke(which: str, reason: str, sever: bool | None, yes: bool) -> None:
    """Revoke certificates for good: from the next request they are refused, on open connections too.

    Name a YubiKey by its serial number (which retires it, too), a certificate by the beginning of its
    fingerprint, or a person. Returns after the running gate was asked and refuses; exit status 7 if
    it still opens. What is streaming already goes on, unless --sever is given or the reason is
    keyCompromise: then all open connections end, too.
    """
    from pivgate.enrolment.access import revoke_certificates, revoke_key
    from pivgate.registry.states import RevocationReason

    why = RevocationReason(reason)
    wanted = why is RevocationReason.KEY_COMPROMISE if sever is None else sever
    try:
        # Nobody waits for our lock while somebody thinks about the question.
        with reading() as (home, registry):
            ended = _named_by_serial(registry, which)
            chosen = registry.certificates(key=ended.serial) if ended else registry.find_certificates(which)
    except PivgateError as error:
        close_by_fingerprint(which, error, sever=wanted, yes=yes)
        raise
    for certificate in chosen:
        click.echo(
            f"{certificate.user}, YubiKey {certificate.key_serial}, "
            f"certificate {certificate.fingerprint[:16]}…: {certificate.state_at(now())}"
        )
    confirm("Revoke all of this for good?", which, yes=yes)
    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        with severing(home, registry, started, wanted=wanted):
            if ended:
                withdrawal = revoke_key(home, registry, ended, why, actor=actor(), now=now())
            else:
                withdrawal = revoke_certificates(home, registry, chosen, why, actor=actor(), now=now())
            what = "the key, and certificates" if ended else "certificates"
            click.echo(f"Revoked: {what}: {len(withdrawal.fingerprints)}.")
    prove_withdrawal(home, withdrawal, started)


def _named_by_serial(registry: "Registry", which: str) -> "Key | None":
    from pivgate.registry.faults import UnknownError
    from pivgate.registry.states import KeyState

    try:
        named = registry.key(int(which)) if _SERIAL.fullmatch(which) else None
    except UnknownError:
        return None
    return named if named and named.state is not KeyState.RETIRED else None


@key.command()
@click.argument("serial", type=int)
@sever_option
def lost(serial: int, sever: bool | None) -> None:
    """A key cannot be found: it opens nothing from now on. `key found` takes that back.

    All connections to the gate end, too, so that nothing goes on that was let in with this key before;
    everybody else reconnects. With --no-sever they stay open, and only new requests are refused.
    """
    from pivgate.enrolment.access import set_key_state
    from pivgate.registry.states import KeyState

    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        item = registry.key(serial)
        with severing(home, registry, started, wanted=sever is not False):
            withdrawal = set_key_state(home, registry, item, KeyState.LOST, "lost", actor=actor(), now=now())
            click.echo(f"YubiKey {serial} of {item.user} is lost: it opens nothing.")
        others = [
            other for other in registry.keys(user=item.user, retired=False) if other.state is KeyState.ACTIVE
        ]
    prove_withdrawal(home, withdrawal, started)
    click.echo(
        f"{item.user} still has {', '.join(str(other.serial) for other in others)}."
        if others
        else f"{item.user} has no other key: provision one with `pivgate key provision --user {item.user}`."
    )
    click.echo(
        f"Found again: `pivgate key found {serial}`. Never coming back: `pivgate key revoke {serial}`."
    )


@key.command()
@click.argument("serial", type=int)
@yes_option
def found(serial: int, yes: bool) -> None:
    """A lost key is back in its holder's hands: it opens again what it opened before."""
    from pivgate.enrolment.access import set_key_state
    from pivgate.registry.states import KeyState

    with reading() as (_, registry):
        item = registry.key(serial)
    confirm(f"Let YubiKey {serial} of {item.user} in again?", str(serial), yes=yes)
    with changing() as (home, registry):
        set_key_state(home, registry, item, KeyState.ACTIVE, "found", actor=actor(), now=now())
    click.echo(f"YubiKey {serial} of {item.user} opens again what it opened before.")
