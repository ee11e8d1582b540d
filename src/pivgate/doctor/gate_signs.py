# SPDX-License-Identifier: Apache-2.0
"""Examinations of Caddy and of the running gate. Pure."""

from collections.abc import Iterator
from typing import Final

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.gate_facts import GateFacts
from pivgate.doctor.service_facts import ServiceFacts
from pivgate.doctor.sites_facts import CaddyFacts
from pivgate.gate.caddy import Caddy
from pivgate.gate.status import Status

_CADDY: Final = {"MissingCaddyError": "caddy-missing", "OldCaddyError": "caddy-too-old"}
_AFRESH: Final = "`pivgate down`, then `pivgate up`, starts it afresh."


def caddy(facts: CaddyFacts) -> Iterator[Finding]:
    """Is there a Caddy that the gate may be built on?"""
    if isinstance(facts.caddy, Trouble):
        code = _CADDY.get(facts.caddy.kind, "caddy-unusable")
        yield found(code, "Caddy", facts.caddy.message, facts.caddy.hint)


def running(facts: GateFacts) -> Iterator[Finding | Unseen]:
    """Does the gate run, and can it be asked?"""
    if isinstance(facts.status, Trouble) and facts.status.kind == "StorageError":
        # Said where it belongs: of the Caddyfile, of the snippet, of the access tree.
        yield Unseen("whether the gate serves what was proved", facts.status.message)
    elif isinstance(facts.status, Trouble):
        yield found("gate-out-of-reach", "gate", facts.status.message, _AFRESH)
    elif facts.status.pid is None and facts.left_over:
        words = f"; its last error: {facts.status.last_words}" if facts.status.last_words else ""
        yield found(
            "gate-ended",
            str(facts.pid_file),
            f"Caddy has ended by itself, or was killed: nothing is served{words}",
            "`pivgate up` starts it, and clears away what it left.",
        )
    elif facts.status.pid is None:
        yield found("gate-down", "gate", "it does not run: nothing is served", "`pivgate up`")
    elif not facts.reachable:
        yield found(
            "gate-out-of-reach",
            str(facts.socket.parent),
            f"the gate runs (process {facts.status.pid}), but its sockets are gone: nothing about it can be "
            "proved or changed",
            f"{_AFRESH} Find out what cleans up that folder.",
        )


def proof(facts: GateFacts) -> Iterator[Finding | Unseen]:
    """Does it serve what was proved, and what the Caddyfile says?"""
    if not isinstance(facts.status, Status):
        return
    if facts.status.pid is None:
        yield Unseen("what the gate serves", "it does not run")
    elif facts.reachable:
        if not facts.status.version:
            yield found(
                "gate-not-proved",
                f"process {facts.status.pid}",
                "nothing is known to have been proved on it: Caddy was started anew, or the record is lost",
                "`pivgate up` proves and loads what the Caddyfile says.",
            )
        elif not facts.status.proved:
            yield found(
                "gate-not-proved",
                f"process {facts.status.pid}",
                "it serves another configuration than the one that was proved: somebody has loaded one",
                "`pivgate up` proves and loads ours. Find out who could write to its admin socket.",
            )
        elif facts.status.pending:
            yield found(
                "gate-pending",
                f"process {facts.status.pid}",
                "the Caddyfile was changed, and the gate still serves the one before",
                "`pivgate up` proves and loads it.",
            )


def age(facts: GateFacts, caddies: CaddyFacts) -> Iterator[Finding]:
    """Is the Caddy that runs the one that is installed?"""
    if not isinstance(facts.status, Status) or not isinstance(caddies.caddy, Caddy):
        return
    installed = str(caddies.caddy.version)
    if facts.status.version and facts.status.version != installed:
        yield found(
            "gate-older-than-caddy",
            f"process {facts.status.pid}",
            f"Caddy {facts.status.version} runs, and {installed} is installed",
            _AFRESH,
        )


def service(facts: ServiceFacts) -> Iterator[Finding | Unseen]:
    """Will the service that keeps the gate start it after the next boot?"""
    if isinstance(facts.installed, Trouble):
        yield Unseen("the service that keeps the gate", f"{facts.installed.message}. {facts.installed.hint}")
    elif facts.missing:
        yield found(
            "service-incomplete",
            ", ".join(map(str, facts.missing)),
            "it is a part of the service that keeps the gate, and is not there: after the next boot the gate "
            "stays down, or nobody looks after it",
            "`sudo pivgate up --systemd` completes the service.",
        )


def severing(facts: GateFacts) -> Iterator[Finding]:
    """Was everything ended that was to be ended?"""
    if isinstance(facts.status, Status) and facts.status.severing:
        yield found(
            "severing-unfinished",
            "open connections",
            "a command that was to end them was cut short: a revoked certificate may still have some",
            "`pivgate up` ends them; `pivgate down` ends everything at once.",
        )


def sockets(facts: GateFacts) -> Iterator[Finding]:
    """Is nobody else on its admin socket?"""
    if facts.stranger is not None:
        yield found(
            "admin-socket-taken",
            str(facts.socket),
            f"process {facts.stranger} listens there and is not the gate: `pivgate up` cannot start it",
            f"`ps -fp {facts.stranger}` shows what it is; stop it, then `pivgate up`.",
        )


def ports(facts: GateFacts, caddies: CaddyFacts) -> Iterator[Finding]:
    """Is nobody else on its ports, and may it listen there?"""
    for other in facts.others:
        consequence = (
            "visitors meet the one or the other, as the kernel pleases"
            if _runs(facts)
            else "the gate cannot start"
        )
        yield found(
            "port-taken",
            f"port {other.port}",
            f"{other} listens there, too: {consequence}",
            "Stop that program, or give the sites another port with `https_port` in the Caddyfile.",
        )
    program = caddies.caddy.path.resolve() if isinstance(caddies.caddy, Caddy) else "caddy"
    for port in facts.forbidden:
        yield found(
            "port-forbidden",
            f"port {port}",
            "this user may not listen there, so the gate cannot start",
            f"`sudo setcap cap_net_bind_service=+ep {program}`, or run pivgate as root, or set `http_port` "
            "and "
            "`https_port` above 1023 in the Caddyfile.",
        )


def _runs(facts: GateFacts) -> bool:
    return isinstance(facts.status, Status) and facts.status.pid is not None
