# SPDX-License-Identifier: Apache-2.0
"""After a withdrawal: ask the running gate whether it still opens, and say how long it took."""

import time

import click

from pivgate.enrolment.access import Withdrawal
from pivgate.settings import Home


def prove_withdrawal(home: Home, withdrawal: Withdrawal, started: float) -> None:
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
    from pivgate.gate.verdict import await_refusal

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
