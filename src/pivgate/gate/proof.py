# SPDX-License-Identifier: Apache-2.0
"""Prove on the running Caddy that it can be asked, and that nobody gets past it."""

from collections.abc import Iterable, Mapping
from typing import Any

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.access import NO_CERTIFICATE
from pivgate.gate.probe import ProbeResult, probe, raise_if_open
from pivgate.gate.process import running
from pivgate.gate.sites import GatedSite
from pivgate.gate.unix_http import NotRunningError
from pivgate.gate.verdict import Verdict, ask
from pivgate.settings import Home


def prove(home: Home, config: Mapping[str, Any], sites: Iterable[GatedSite]) -> tuple[ProbeResult, ...]:
    """Ask for the verdict and try every way in.

    Args:
        home: The home whose gate runs.
        config: The configuration that it runs.
        sites: The gated sites in it.

    Raises:
        OpenGateError: Somebody was let in.
        GateError: Nothing could be proved.
        StorageError: The certificates to try are missing.
    """
    _check_verdict(home)
    results = probe(config, sites, home.probes)
    raise_if_open(results)
    return results


def _check_verdict(home: Home) -> None:
    """Make sure that the new configuration can be asked for its verdict, and refuses nobody in particular.

    Raises:
        OpenGateError: It admits a certificate that does not exist.
        GateError: It cannot be asked.
    """
    try:
        verdict = ask(home.verdict_socket, "everyone", NO_CERTIFICATE)
    except NotRunningError as error:
        if running(home) is None:
            raise GateError(
                "Caddy has ended in the middle of this",
                f"Its log ends with the reason: {home.caddy_log}. Run the same command again.",
            ) from error
        raise GateError(
            "The configuration has no verdict site, so a revocation could not be proved",
            "Write `import pivgate.caddy` into the Caddyfile, outside all blocks.",
        ) from error
    if verdict is not Verdict.REFUSED:
        raise OpenGateError(
            f"The gate admits everybody who shows no certificate: {home.access} holds {NO_CERTIFICATE[:8]}…",
            "Run the command again: it removes that entry. Then look for who put it there.",
        )
