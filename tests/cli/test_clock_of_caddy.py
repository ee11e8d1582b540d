# SPDX-License-Identifier: Apache-2.0
"""The machine's clock is wrong, and so both that of the commands and that of the Caddy that runs already."""

from collections.abc import Iterator

import pytest

from pivgate.errors import PivgateError
from pivgate.gate.caddy import CADDY_VARIABLE
from pivgate.gate.own_process import search
from tests.cli.conftest import ALICE, Machine, Result
from tests.interop.gate.shifted_clock import Clock, launcher
from tests.interop.gate.standing_gate import CADDY
from tests.interop.gate.streams import endless

SITE, LATE = "app.localhost", "late.localhost"
AHEAD = 400
"""Days past the end of alice's certificate."""
REFUSED, NOT_GOOD = "refused the handshake", "The server's certificate is not good"


@pytest.fixture
def upstream() -> Iterator[str]:
    with endless() as upstream:
        yield upstream


@pytest.fixture
def clock(provisioned: Machine, upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    monkeypatch.setenv(CADDY_VARIABLE, str(launcher(CADDY, provisioned.root)))
    provisioned.good("site", "add", SITE, upstream)
    provisioned.good("up")
    clock = Clock(lambda: [found.pid for found in search(provisioned.home)])
    yield clock
    clock.set(days=0)


def at(clock: Clock, gate: Machine, days: int, *arguments: str) -> Result:
    """Set the machine's clock and run a command, which must succeed."""
    clock.set(days=days)
    done = gate.run(*arguments, environment={"DAYS_FROM_NOW": str(days)})
    assert done.status == 0, done
    return done


def ask(gate: Machine, site: str = SITE) -> int | str:
    """Ask as alice, whose own clock is right; return the status, or what went wrong before there was any."""
    connection = gate.visit(site, gate.login(ALICE))
    try:
        return connection.ask("GET", "/short")[0]
    except PivgateError as error:
        return error.message
    finally:
        connection.close()


def test_a_clock_that_was_wrong_costs_one_up(provisioned: Machine, upstream: str, clock: Clock) -> None:
    gate = provisioned
    clock.set(days=AHEAD)
    assert REFUSED in str(ask(gate))
    clock.set(days=0)
    assert ask(gate) == 200

    # What has ended by its time is taken out of the tree, and no clock brings it back.
    at(clock, gate, AHEAD, "up")
    clock.set(days=0)
    assert ask(gate) == 403

    # For a new site Caddy signs from the day on in which it believes to be.
    at(clock, gate, AHEAD, "site", "add", LATE, upstream)
    clock.set(days=0)
    assert NOT_GOOD in str(ask(gate, LATE))
    assert "while the clock was ahead" in at(clock, gate, 0, "up").out
    assert (ask(gate), ask(gate, LATE)) == (200, 200)

    # So does the one that takes over in severing, for all sites as soon as it comes to it.
    at(clock, gate, AHEAD, "key", "lost", str(ALICE))
    clock.set(days=0)
    assert ask(gate) != 200
    assert "while the clock was ahead" in at(clock, gate, 0, "up").out
    assert (ask(gate), ask(gate, LATE)) == (403, 403)

    assert "while the clock was ahead" not in at(clock, gate, 0, "up").out
    log = gate.good("audit", "log", "--json").json()
    assert [event["action"] for event in log].count("gate.sever") == 3
    gate.good("audit", "verify")
