# SPDX-License-Identifier: Apache-2.0
"""Examinations of facts that no test can plant: the kernel's clock, another user's ports, what is on USB."""

import threading
from dataclasses import replace
from pathlib import Path

from pivgate.doctor import card_signs, gate_signs, machine_signs, served_signs
from pivgate.doctor.card_facts import Card, CardFacts
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.gate_facts import GateFacts
from pivgate.doctor.machine_facts import MachineFacts
from pivgate.doctor.patience import within
from pivgate.doctor.served_facts import ServedFacts, ServedHost
from pivgate.doctor.sites_facts import CaddyFacts, Host
from pivgate.gate.access import Drift
from pivgate.gate.caddy import Caddy, Version
from pivgate.gate.status import Status

DOWN = Trouble("the service does not answer", "start it", "NoServiceError")
NO_DRIFT = Drift(frozenset(), frozenset(), frozenset())


def codes(words: object) -> list[str]:
    return [word.code if isinstance(word, Finding) else "?" for word in words]  # type: ignore[attr-defined]


def test_the_clock() -> None:
    assert codes(machine_signs.synchronised(MachineFacts(True, ""))) == []
    assert codes(machine_signs.synchronised(MachineFacts(True, "chrony"))) == []
    assert codes(machine_signs.synchronised(MachineFacts(False, "chrony"))) == ["clock-not-synchronised"]
    # A container has no time service, and its host's clock.
    assert codes(machine_signs.synchronised(MachineFacts(False, ""))) == ["?"]
    assert codes(machine_signs.synchronised(MachineFacts(None, "chrony"))) == ["?"]


def gate(forbidden: tuple[int, ...]) -> GateFacts:
    return GateFacts(
        status=Status(None, "", (), proved=False, pending=False, drift=NO_DRIFT),
        pid_file=Path("/home/run/caddy.pid"),
        left_over=False,
        reachable=False,
        stranger=None,
        socket=Path("/home/run/admin.sock"),
        others=(),
        forbidden=forbidden,
    )


def test_ports_that_only_root_may_listen_on() -> None:
    caddy = CaddyFacts(Caddy(Path("/opt/caddy"), Version((2, 11, 7))))
    (finding,) = gate_signs.ports(gate((443,)), caddy)
    assert (finding.code, finding.what) == ("port-forbidden", "port 443")
    assert "setcap cap_net_bind_service=+ep /opt/caddy" in finding.remedy
    assert list(gate_signs.ports(gate(()), caddy)) == []


def test_the_card_service() -> None:
    assert codes(card_signs.service(CardFacts(True, None, (), 0))) == ["?"]
    assert codes(card_signs.service(CardFacts(True, DOWN, (), 0))) == ["pcsc-down"]
    assert codes(card_signs.service(CardFacts(False, DOWN, (), 1))) == ["pcsc-missing"]
    assert codes(card_signs.service(CardFacts(True, None, (), 1))) == ["card-side-off"]
    # Most servers have neither a service nor a key, and need none.
    (unseen,) = card_signs.service(CardFacts(False, DOWN, (), 0))
    assert isinstance(unseen, Unseen)


def test_a_card_of_another_make() -> None:
    other = Card("Reader 0", Trouble("it is of another make", "put in a YubiKey", "DeviceError"))
    (finding,) = card_signs.usable(CardFacts(True, None, (other,), 0))
    assert (finding.code, finding.what) == ("card-unusable", "card in Reader 0")
    held = Card("Reader 0", Trouble("it cannot be opened", "stop scdaemon", "HeldError"))
    assert codes(card_signs.usable(CardFacts(True, None, (held,), 0))) == ["card-held"]


def test_a_gate_that_does_not_answer() -> None:
    hung = Trouble("Caddy does not answer", "", "BrokeOffError")
    assert codes(gate_signs.running(replace(gate(()), status=hung))) == ["gate-out-of-reach"]
    # A file that is missing is said where it belongs.
    lost = Trouble("Cannot read the Caddyfile", "", "StorageError")
    assert codes(gate_signs.running(replace(gate(()), status=lost))) == ["?"]


def test_a_lookup_is_not_waited_for() -> None:
    end = threading.Event()
    assert within(lambda: 7) == 7
    assert within(end.wait, 0.01) is None
    end.set()


def test_what_no_name_server_has_answered_is_said() -> None:
    host = Host("app.example.org", True, ())
    met = ServedHost(host, None, None, asked=False)
    assert codes(served_signs.names(ServedFacts((met,)))) == ["?"]
    met = ServedHost(host, False, None, asked=False)
    assert codes(served_signs.names(ServedFacts((met,)))) == ["site-name-unresolved"]
