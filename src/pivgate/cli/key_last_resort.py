# SPDX-License-Identifier: Apache-2.0
"""``pivgate key revoke`` where the registry does not help: by the fingerprint, with the access tree alone."""

import click

from pivgate.cli.output import confirm
from pivgate.cli.workplace import PATIENCE_TO_WITHDRAW, WITHOUT_REGISTRY, current_home
from pivgate.errors import PivgateError, StorageError


def close_by_fingerprint(which: str, trouble: PivgateError, *, sever: bool, yes: bool) -> None:
    """Take what a fingerprint begins with out of the access tree, and add to the trouble what was done.

    Args:
        which: What the user named.
        trouble: Why it cannot be revoked as usual. The caller raises it, whatever was done here.
        sever: Whether to end what is open as well.
        yes: Do it without asking.

    Raises:
        StorageError: An entry could not be removed and still admits.
        OpenGateError: The gate still lets it in, or what was open may still be.
        GateError: The gate runs but cannot be asked.
    """
    from pivgate.enrolment.last_resort import admitted
    from pivgate.files import exclusive_lock
    from pivgate.gate.access import withdraw
    from pivgate.gate.process import running
    from pivgate.gate.sever import sever as end_all
    from pivgate.gate.verdict import await_refusal

    home = current_home()
    fingerprints = admitted(home, which)
    if not fingerprints:
        if isinstance(trouble, StorageError):
            trouble.hint = f"{WITHOUT_REGISTRY} {trouble.hint}"
        return
    click.echo(f"{trouble.message}. In the access tree there is:")
    for fingerprint in fingerprints:
        click.echo(f"certificate {fingerprint}")
    confirm("Take it out, unrecorded?", which, yes=yes)
    with exclusive_lock(home.lock, PATIENCE_TO_WITHDRAW):
        withdraw(home.access, fingerprints)
        if sever:
            end_all(home)
    if running(home):
        for fingerprint in fingerprints:
            await_refusal(home, (), fingerprint)
    trouble.message = f"The gate refuses {which} from now on, but that is not recorded: {trouble.message}"
    trouble.hint = f"Until it is, `pivgate up` may let it in again. {trouble.hint}"
