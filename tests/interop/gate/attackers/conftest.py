# SPDX-License-Identifier: Apache-2.0
"""One gate made by pivgate for all attackers, a holder who visits it meanwhile, and the upstream's judge."""

import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.interop.gate.attackers.recording import Recorder, Request, recording
from tests.interop.gate.conftest import Place, made_place
from tests.interop.gate.pki import Authority, Client, anonymous
from tests.interop.gate.standing_gate import StandingGate

from pivgate.gate.access import synchronise
from pivgate.gate.apply import up

# What the gate may hold in memory, however it is attacked.
MEMORY_BOUND = 600 * 2**20

SITES = """
a.test, *.wide.test {{
	import pivgate admins internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
b.test {{
	import pivgate editors internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
paths.test {{
	import pivgate everyone internal {{
		reverse_proxy /public/* 127.0.0.1:{upstream}
	}}
	import pivgate admins internal {{
		reverse_proxy 127.0.0.1:{upstream}
	}}
}}
open.test {{
	tls internal
	respond "open to all"
}}
"""


@dataclass
class Siege:
    """A gate with alice in ``admins`` and bob in ``editors``; mallory's certificate was revoked.

    Attributes:
        gate: Makes requests to it.
        authority: Ours.
        strangers: Another of the same name.
    """

    place: Place
    gate: StandingGate
    upstream: Recorder
    authority: Authority
    strangers: Authority
    alice: Client
    bob: Client
    mallory: Client
    pid: int
    served: Counter[str] = field(default_factory=Counter)

    def may_reach(self, request: Request) -> bool:
        """Say whether the upstream may see this request: each site's group, one certificate, no other."""
        host = request.values("host")[0].partition(":")[0].lower()
        members = {self.alice.fingerprint: "alice"}
        if host == "b.test":
            members = {self.bob.fingerprint: "bob"}
        elif host == "paths.test" and request.target.startswith("/public/"):
            members |= {self.bob.fingerprint: "bob"}
        elif host not in ("a.test", "paths.test") and not host.endswith(".wide.test"):
            return False
        shown = request.values("x-client-fingerprint")
        return (
            len(shown) == 1 and shown[0] in members and request.values("x-client-user") == [members[shown[0]]]
        )

    def judge(self) -> None:
        """Nothing reached the upstream that may not; the gate is the same process, within its memory."""
        assert [request for request in self.upstream.requests if not self.may_reach(request)] == []
        assert self.upstream.wire_faults() == []
        assert self.place.running().pid == self.pid, "the gate is another process"
        assert self.memory() < MEMORY_BOUND

    def memory(self) -> int:
        """Return the bytes that the gate holds in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    def visit(self) -> None:
        """Be a holder who asks for a page, on a connection of her own."""
        reply = self.gate.ask(self.alice.context(), "a.test", path="/holder")
        assert (reply.status, reply.body) == (200, "upstream")

    @contextmanager
    def visited_meanwhile(self) -> Iterator[None]:
        """Let the holder ask all the time; each of her requests must get through."""
        over = threading.Event()
        failures: list[BaseException] = []

        def keep_asking() -> None:
            while True:
                try:
                    self.visit()
                except (AssertionError, OSError, ssl.SSLError) as error:
                    failures.append(error)
                    return
                self.served["during"] += 1
                if over.wait(0.05):
                    return

        thread = threading.Thread(target=keep_asking)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert failures == []


def sent(siege: Siege, context: ssl.SSLContext, site: str, data: bytes) -> bytes:
    """Send bytes as they are, and read until the gate closes or has no more to say."""
    received = b""
    with siege.gate.connect(context, site) as connection:
        connection.settimeout(0.15)
        try:
            connection.sendall(data)
            while more := connection.recv(65536):
                received += more
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass
    return received


@pytest.fixture(scope="session")
def standing_siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder = tmp_path_factory.mktemp("attackers")
    with recording() as upstream, made_place(folder) as place:
        place.write(SITES.format(upstream=upstream.port))
        authority, strangers = place.authority, Authority(folder)
        alice, bob, mallory = (authority.client(name) for name in ("alice", "bob", "mallory"))
        synchronise(
            place.home.access,
            {
                *((group, alice.fingerprint) for group in ("everyone", "admins")),
                *((group, bob.fingerprint) for group in ("everyone", "editors")),
            },
        )
        applied = up(place.home)
        assert applied.pid is not None
        gate = StandingGate(place.home.root, place.home.authority_certificate, port=place.port)
        yield Siege(place, gate, upstream, authority, strangers, alice, bob, mallory, applied.pid)


@pytest.fixture
def siege(standing_siege: Siege) -> Iterator[Siege]:
    """The gate; a holder gets through during the test and after it, and nobody else ever does."""
    standing_siege.upstream.clear()
    with standing_siege.visited_meanwhile():
        yield standing_siege
    standing_siege.visit()
    standing_siege.judge()


@pytest.fixture(scope="session")
def contexts(standing_siege: Siege) -> Callable[[str], ssl.SSLContext]:
    """Make the TLS context of each who may be up to something, a holder among them."""
    made = {
        "anonymous": anonymous,
        "stranger": standing_siege.strangers.client("alice").context,
        "mallory": standing_siege.mallory.context,
        "bob": standing_siege.bob.context,
        "alice": standing_siege.alice.context,
    }
    return lambda name: made[name]()
