# SPDX-License-Identifier: Apache-2.0
"""Ask the running gate whether it would let a certificate in, after it was revoked above all.

The same Caddy process that serves the sites answers, on a unix socket, by the same matcher over the same tree
(the verdict site of ``pivgate.caddy``), so the answer is what the next request will meet.
"""

import time
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from pivgate.errors import GateError, OpenGateError
from pivgate.gate.process import running
from pivgate.gate.snippet import VERDICT_HOST
from pivgate.gate.unix_http import BrokeOffError, NotRunningError, Reply, exchange
from pivgate.settings import Home

# Seconds that Caddy may take to close a server whose configuration was replaced.
_HANDOVER = 0.1


class Verdict(Enum):
    """What the gate would do with a certificate."""

    ADMITTED = 200
    REFUSED = 403


def ask(socket: Path, group: str, fingerprint: str, *, timeout: float = 10.0) -> Verdict:
    """Ask the running gate about one certificate.

    Args:
        socket: The verdict socket of a home.
        group: The group that a site asks for.
        fingerprint: SHA-256 of the certificate, 64 lower-case hexadecimal digits.
        timeout: Seconds to wait for each step of the answer.

    Raises:
        NotRunningError: Nobody listens there.
        GateError: It does not say.
    """
    reply = _ask(socket, f"/{group}/{fingerprint}", timeout)
    try:
        return Verdict(reply.status)
    except ValueError:
        raise GateError(
            f"The gate answers {reply.status} when asked for its verdict",
            "Is `import pivgate.caddy` still in the Caddyfile? `pivgate up` applies it again.",
        ) from None


def _ask(socket: Path, target: str, timeout: float) -> Reply:
    """Ask, and once more when the server that took the question was just being replaced by a new one."""
    try:
        return exchange(socket, VERDICT_HOST, "GET", target, timeout=timeout)
    except BrokeOffError:
        time.sleep(_HANDOVER)
        return exchange(socket, VERDICT_HOST, "GET", target, timeout=timeout)


def await_refusal(home: Home, groups: Iterable[str], fingerprint: str, patience: float = 2.0) -> float:
    """Return once the running gate refuses a certificate in every group.

    Args:
        home: The home whose gate is asked.
        groups: The groups to ask about; ``everyone`` is asked about in any case.
        fingerprint: SHA-256 of the certificate, 64 lower-case hexadecimal digits.
        patience: Seconds in which the gate must come to refuse.

    Returns:
        Milliseconds until the last of them was refused.

    Raises:
        NotRunningError: No gate is running; nothing is served.
        OpenGateError: The gate still lets it in after that time.
        GateError: It does not say, or it runs and cannot be asked.
    """
    try:
        return _await_refusal(home, groups, fingerprint, patience)
    except NotRunningError as error:
        if found := running(home):
            raise GateError(
                f"The gate runs (process {found.pid}) but cannot be asked: {error.message}",
                "`pivgate down` closes it; `pivgate up` starts it afresh.",
            ) from error
        raise NotRunningError(
            "The gate is not running, so nothing is served", "Start it with `pivgate up`."
        ) from error


def _await_refusal(home: Home, groups: Iterable[str], fingerprint: str, patience: float) -> float:
    begun = time.monotonic()
    for group in sorted({"everyone", *groups}):
        while ask(home.verdict_socket, group, fingerprint) is not Verdict.REFUSED:
            if time.monotonic() - begun > patience:
                raise OpenGateError(
                    f"The gate still lets the certificate {fingerprint[:16]}… in as one of {group}",
                    "Close the gate with `pivgate down`; then look for what has put "
                    f"{home.access / group / fingerprint} there.",
                )
            time.sleep(0.005)
    return (time.monotonic() - begun) * 1000
