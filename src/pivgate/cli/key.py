# SPDX-License-Identifier: Apache-2.0
"""``pivgate key``: the life of a key, from the factory to its end."""

import re
import time
from typing import TYPE_CHECKING

import click

from pivgate.cli.key_list import list_keys
from pivgate.cli.key_provision import provision_key, reset_pin
from pivgate.cli.key_show import show_key, verify_key
from pivgate.cli.output import confirm, yes_option
from pivgate.cli.workplace import actor, changing, now, reading

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


@click.group()
def key() -> None:
    """YubiKeys: provision, look at, revoke, find again."""


key.add_command(list_keys)
key.add_command(show_key)
key.add_command(provision_key)
key.add_command(verify_key)
key.add_command(reset_pin)


@key.command()
@click.argument("which", metavar="SERIAL|FINGERPRINT|USER")
@click.option("--reason", type=click.Choice(REASONS), default="unspecified", show_default=True)
@yes_option
def revoke(which: str, reason: str, yes: bool) -> None:
    """Revoke certificates for good; refused from the next request on, on open connections too.

    Name a YubiKey by its serial number (which retires it, too), a certificate by the beginning of its
    fingerprint, or a person. Returns after the running gate was asked and refuses; exit status 7 if
    it still opens.
    """
    from pivgate.cli.proof import prove_withdrawal
    from pivgate.enrolment.access import revoke_certificates, revoke_key
    from pivgate.registry.states import RevocationReason

    # Nobody waits for our lock while somebody thinks about the question.
    with reading() as (home, registry):
        ended = _named_by_serial(registry, which)
        chosen = registry.certificates(key=ended.serial) if ended else registry.find_certificates(which)
    for certificate in chosen:
        click.echo(
            f"{certificate.user}, YubiKey {certificate.key_serial}, "
            f"certificate {certificate.fingerprint[:16]}…: {certificate.state_at(now())}"
        )
    confirm("Revoke all of this for good?", which, yes=yes)
    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        if ended:
            withdrawal = revoke_key(home, registry, ended, RevocationReason(reason), actor=actor(), now=now())
        else:
            withdrawal = revoke_certificates(
                home, registry, chosen, RevocationReason(reason), actor=actor(), now=now()
            )
    click.echo(f"Revoked: {'the key, and ' if ended else ''}certificates: {len(withdrawal.fingerprints)}.")
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
def lost(serial: int) -> None:
    """A key cannot be found: it opens nothing from now on. `key found` takes that back."""
    from pivgate.cli.proof import prove_withdrawal
    from pivgate.enrolment.access import set_key_state
    from pivgate.registry.states import KeyState

    with changing(withdrawing=True) as (home, registry):
        started = time.perf_counter()
        item = registry.key(serial)
        withdrawal = set_key_state(home, registry, item, KeyState.LOST, "lost", actor=actor(), now=now())
        others = [
            other for other in registry.keys(user=item.user, retired=False) if other.state is KeyState.ACTIVE
        ]
    click.echo(f"YubiKey {serial} of {item.user} is lost: it opens nothing.")
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
