# SPDX-License-Identifier: Apache-2.0
"""Prove on the running Caddy that it refuses everybody it must refuse."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.attempts import Attempt, plan
from pivgate.gate.knock import Credentials, Outcome, knock, load_credentials
from pivgate.gate.sites import GatedSite

# Handshakes cost the two sides about the same; more at once only makes each of them wait.
_AT_ONCE = 8
_PATIENCE = 60.0
# A handshake takes some 5 ms; on a busy machine ten times that.
_PATIENCE_EACH = 0.1
# Caddy's internal authority needs some 0.2 s for the first certificate of a name. A public one may take
# minutes, or never answer, and nobody gets in meanwhile.
_CERTIFICATE_PATIENCE = 5.0
_SHOWN = 5


@dataclass(frozen=True)
class ProbeResult:
    """How one attempt ended.

    Attributes:
        site: The site that was to stay shut, host and port.
        attempt: What was tried, for people.
        outcome: How it ended.
        milliseconds: How long it took.
        detail: What came instead of a refusal, or why nothing came.
    """

    site: str
    attempt: str
    outcome: Outcome
    milliseconds: float
    detail: str = ""


def probe(config: Mapping[str, Any], sites: Iterable[GatedSite], probes: Path) -> tuple[ProbeResult, ...]:
    """Try every way in, on every site, many at once.

    Args:
        config: The configuration that runs.
        sites: The gated sites in it.
        probes: Folder with the certificates to try, ``<name>.pem`` and ``<name>.key``.

    Returns:
        What came of each attempt, in the order in which they were planned.

    Raises:
        GateError: A site listens where pivgate cannot connect.
        StorageError: A certificate to try is missing or damaged.
    """
    attempts = plan(config, sites)
    if not attempts:
        return ()
    credentials = load_credentials(probes)
    begun = time.monotonic()
    deadline = begun + max(_PATIENCE, _PATIENCE_EACH * len(attempts))

    def run(attempt: Attempt) -> ProbeResult:
        return _try(attempt, credentials, deadline, begun + _CERTIFICATE_PATIENCE)

    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="probe") as threads:
        return tuple(threads.map(run, attempts))


def _try(attempt: Attempt, credentials: Credentials, deadline: float, ready_by: float) -> ProbeResult:
    started = time.monotonic()
    outcome, detail = Outcome.UNREACHABLE, "there was no time left to try"
    while time.monotonic() < deadline:
        outcome, detail = knock(attempt, credentials)
        if outcome is not Outcome.NOT_READY or time.monotonic() > ready_by:
            break
        time.sleep(0.05)
    return ProbeResult(attempt.site, attempt.shown, outcome, (time.monotonic() - started) * 1000, detail)


def raise_if_open(results: Iterable[ProbeResult]) -> None:
    """Accept only refusals.

    Raises:
        OpenGateError: Somebody was let in who must not be; site and way are named.
        GateError: Nobody was let in, but an attempt came to nothing, and that is no proof.
    """
    found = list(results)
    if let_in := [result for result in found if result.outcome is Outcome.OPEN]:
        raise OpenGateError(
            f"The gate lets in whom it must refuse: {_listed(let_in)}",
            "Look at what the Caddyfile says of that site: every block that names it must `import pivgate`.",
        )
    if unproven := [result for result in found if not result.outcome.keeps_out]:
        raise GateError(
            f"It could not be proved that the gate refuses: {_listed(unproven)}",
            "Is there a firewall on this machine, or another program on that port?",
        )


def _listed(results: list[ProbeResult]) -> str:
    shown = "; ".join(f"{one.site} with {one.attempt} ({one.detail})" for one in results[:_SHOWN])
    return shown + (f"; and {len(results) - _SHOWN} more" if len(results) > _SHOWN else "")
