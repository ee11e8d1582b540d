# SPDX-License-Identifier: Apache-2.0
"""Around a withdrawal: end what is open, ask the running gate whether it still opens, and say so."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from pivgate.cli.workplace import actor, changing, now
from pivgate.errors import PivgateError, StorageError
from pivgate.settings import Home

if TYPE_CHECKING:
    from pivgate.enrolment.access import Withdrawal
    from pivgate.registry.store import Registry

sever_option = click.option(
    "--sever/--no-sever",
    default=None,
    help="End all connections that are open now, of everybody: what was let in before is gone within a "
    "second, and all others reconnect.",
)


@contextmanager
def severing(home: Home, registry: "Registry", started: float, *, wanted: bool) -> Iterator[None]:
    """Take access away inside; then everything that is open ends, if that is wanted or was left to be done.

    At last the access tree is held to the registry.

    Args:
        home: Whose gate it is, locked by the caller.
        registry: Where it is recorded.
        started: ``time.perf_counter()`` before the first step of the withdrawal.
        wanted: Whether to end what is open.

    Raises:
        OpenGateError: What was open may still be.
        GateError: The gate could not be proved afterwards, and was stopped.
    """
    from pivgate.enrolment.access import narrow_tree
    from pivgate.gate.sever import intend, is_unfinished

    if wanted:
        # A full disk must not keep anybody in.
        with suppress(StorageError):
            intend(home)
    try:
        yield
    except PivgateError:
        # The tree comes first, so they may be out of it already. The first failure is the one to tell.
        if wanted:
            with suppress(PivgateError):
                _end_all(home, started)
                record_severings(home, registry)
        raise
    try:
        if wanted or is_unfinished(home):
            _end_all(home, started)
        record_severings(home, registry)
    finally:
        narrow_tree(home, registry, actor=actor(), now=now())


def finish_severing(home: Home, registry: "Registry") -> None:
    """End what is open, should it be noted that this is to be done; it is recorded once.

    Args:
        home: Whose gate it is, locked by the caller.
        registry: Where it is recorded.

    Raises:
        OpenGateError: What was open may still be.
        GateError: The gate could not be proved afterwards, and was stopped.
    """
    from pivgate.gate.sever import is_unfinished, sever

    if is_unfinished(home) and sever(home):
        click.echo("Ended all that was open, which was left to be done.")
    record_severings(home, registry)


def record_severings(home: Home, registry: "Registry") -> None:
    """Write the event of each severing that has none, also where a command was killed before it could.

    Args:
        home: Whose gate it is, locked by the caller.
        registry: Where it is recorded.

    Raises:
        StorageError: It cannot be recorded; the next command does it.
    """
    from pivgate.gate.sever import all_told, untold

    if not (moments := untold(home)):
        return
    told = {json.loads(event.detail).get("ended") for event in registry.events(action="gate.sever")}
    for moment in moments:
        # An earlier command can have been killed after an event and before it said so.
        if moment not in told:
            detail = {"ended": moment}
            registry.append_event("gate.sever", str(home.caddyfile), detail, actor=actor(), now=now())
    all_told(home)


def _end_all(home: Home, started: float) -> None:
    from pivgate.gate.sever import sever

    since = time.monotonic() - (time.perf_counter() - started)
    severed = sever(home, since)
    if severed:
        milliseconds = (severed.ended - since) * 1000
        click.echo(f"All connections ended, after {milliseconds:.0f} ms; others reconnect by themselves.")


def prove_withdrawal(home: Home, withdrawal: "Withdrawal", started: float) -> None:
    """Return only when the running gate refuses what was withdrawn.

    Args:
        home: Whose gate to ask.
        withdrawal: What must be refused.
        started: ``time.perf_counter()`` before the first step of the withdrawal.

    Raises:
        OpenGateError: The gate still lets one of them in.
        GateError: The gate runs but cannot be asked.
    """
    from pivgate.gate.process import running
    from pivgate.gate.sever import is_unfinished
    from pivgate.gate.verdict import await_refusal

    if is_unfinished(home):
        with changing(withdrawing=True) as (_, registry), severing(home, registry, started, wanted=False):
            pass
    if not withdrawal.fingerprints:
        return
    if running(home) is None:
        click.echo("The gate is not running, so nothing is served; it will refuse them when it is.")
        return
    groups = withdrawal.groups or ("everyone",)
    for fingerprint in withdrawal.fingerprints:
        await_refusal(home, groups, fingerprint)
    milliseconds = (time.perf_counter() - started) * 1000
    click.echo(f"The running gate refuses them, on open connections too: proved after {milliseconds:.0f} ms.")
