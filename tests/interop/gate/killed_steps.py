# SPDX-License-Identifier: Apache-2.0
"""Kills a change of who gets in after each of its writes, one after another, beside a running gate.

Run as a program of its own, so that it has one thread and may fork: ``killed_steps.py JOB``, JSON with

    home, port   the home, and where its gate listens
    sites        site -> the group that it admits
    people       name -> (certificate, key), PEM files
    commands     each the arguments of pivgate; ["activate", USER, FINGERPRINT] is the end of provisioning

It prints, for each command, a JSON list with one object for each place: who got in at the real gate, and whom
the registry lets in, right after the kill (``killed``), after the same command again (``again``), and after
what ``up`` does first (``up``). The first is killed before its first write, the last one runs through.
"""

import json
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.interop.gate.killed_places import command_line, in_child
from tests.interop.gate.pki import Client
from tests.interop.gate.standing_gate import StandingGate

from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.enrolment.local import LocalEnrolment
from pivgate.gate.access import synchronise
from pivgate.registry.store import Registry
from pivgate.settings import Home


class Doors:
    """The sites, asked on connections that stay open, so that asking costs little."""

    def __init__(self, job: dict[str, Any], stack: ExitStack) -> None:
        self.gate = StandingGate(
            Path(job["home"]), Path(job["home"], "authority", "ca.pem"), port=job["port"]
        )
        self.sites: dict[str, str] = job["sites"]
        self.people = {name: client(*files) for name, files in job["people"].items()}
        self._connections: dict[tuple[str, str], ssl.SSLSocket] = {
            (person, site): stack.enter_context(self.gate.connect(one.context(), site))
            for person, one in self.people.items()
            for site in self.sites
        }

    def open_to(self) -> list[str]:
        """Return ``group/person`` for each site that lets somebody in."""
        return sorted(
            f"{self.sites[site]}/{person}"
            for (person, site), connection in self._connections.items()
            if self.gate.ask_on(connection, site).status == 200
        )

    def named(self, pairs: Iterator[tuple[str, str]] | frozenset[tuple[str, str]]) -> list[str]:
        """Return pairs of group and fingerprint as ``group/person``."""
        names = {one.fingerprint: name for name, one in self.people.items()}
        return sorted(f"{group}/{names[fingerprint]}" for group, fingerprint in pairs)


def client(pem: str, key: str) -> Client:
    return Client(x509.load_pem_x509_certificate(Path(pem).read_bytes()), Path(pem), Path(key))


def main() -> None:
    job = json.loads(sys.argv[1])
    home = Home(Path(job["home"]))
    with ExitStack() as stack:
        doors = Doors(job, stack)
        json.dump([killed_everywhere(home, doors, command) for command in job["commands"]], sys.stdout)


def killed_everywhere(home: Home, doors: Doors, command: list[str]) -> list[dict[str, Any]]:
    before = kept(home)
    found = []
    for number in (*places(home, command), 0):
        put_back(home, before)
        assert killed(home, command, number) == bool(number)
        place = {"killed": look(home, doors)}
        after = kept(home)
        killed(home, command, 0)
        place["again"] = look(home, doors)
        put_back(home, after)
        with opened(home) as registry:
            bring_tree_to_registry(home, registry, actor="test", now=datetime.now(UTC))
        place["up"] = look(home, doors)
        found.append(place)
    put_back(home, before)
    return found


def change(home: Home, command: list[str]) -> int:
    if command[0] != "activate":
        return command_line(home, command)
    with opened(home) as registry:
        _, user, fingerprint = command
        certificate = x509.load_der_x509_certificate(registry.certificate(fingerprint).der)
        authority = x509.load_pem_x509_certificate(home.authority_certificate.read_bytes())
        enrolment = LocalEnrolment(
            home,
            registry,
            user,
            unlock=lambda: sys.exit("nothing is to be signed"),
            authority_certificate=authority,
            client_days=1,
            actor="test",
            clock=lambda: datetime.now(UTC),
        )
        assert certificate.fingerprint(hashes.SHA256()).hex() == fingerprint
        enrolment.activate(certificate)
    return 0


def killed(home: Home, command: list[str], number: int) -> bool:
    """Run a command in a child that is killed before that call; return whether it was."""

    calls = 0

    def die(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return os.WIFSIGNALED(in_child(lambda: change(home, command), die))


def places(home: Home, command: list[str]) -> list[int]:
    """Run a command through; return each call before which the disk is not as it was at the last one."""
    reading, writing = os.pipe()
    calls = 0
    last: Any = None

    def compare(*_: object) -> None:
        nonlocal calls, last
        calls += 1
        state = (kept(home), sorted(path.name for path in home.root.iterdir()))
        if state != last:
            os.write(writing, f"{calls}\n".encode())
        last = state

    in_child(lambda: change(home, command), compare)
    os.close(writing)
    with os.fdopen(reading) as lines:
        return [int(line) for line in lines]


def look(home: Home, doors: Doors) -> dict[str, Any]:
    with opened(home) as registry:
        wanted = registry.access(datetime.now(UTC))
    return {
        "open": doors.open_to(),
        "registry": doors.named(wanted),
    }


@contextmanager
def opened(home: Home) -> Iterator[Registry]:
    with Registry.open(home.registry, home.audit_head) as registry:
        yield registry


def files(home: Home) -> list[Path]:
    return [home.registry, home.registry.with_name(home.registry.name + "-wal"), home.audit_head]


def kept(home: Home) -> dict[str, Any]:
    """Return all that a change changes."""
    tree = {(path.parent.name, path.name) for path in home.access.glob("*/*")}
    return {"tree": tree, **{path.name: path.read_bytes() for path in files(home) if path.exists()}}


def put_back(home: Home, state: dict[str, Any]) -> None:
    synchronise(home.access, state["tree"])
    home.registry.with_name(home.registry.name + "-shm").unlink(missing_ok=True)
    for path in files(home):
        path.unlink(missing_ok=True)
        if path.name in state:
            path.write_bytes(state[path.name])


main()
