# SPDX-License-Identifier: Apache-2.0
"""Commands whose clock is wrong: what was revoked stays so at any time, and nothing ends for good."""

from tests.cli.conftest import ALICE, Machine, ask

AHEAD, BACK = {"DAYS_FROM_NOW": "400"}, {"DAYS_FROM_NOW": "-400"}
"""Past the end of alice's certificate, and before its beginning."""


def up_at(gate: Machine, clock: dict[str, str]) -> int:
    """Bring the gate up at another time; return what alice gets then."""
    brought = gate.run("up", environment=clock)
    assert brought.status == 0, brought
    return ask(gate)


def test_a_clock_that_was_wrong_ends_nothing_for_good_and_revives_nothing_revoked(gate: Machine) -> None:
    assert up_at(gate, AHEAD) == 403
    assert up_at(gate, BACK) == 403
    assert up_at(gate, {}) == 200

    # What looks expired, or not valid yet, is revoked all the same.
    fingerprint = gate.good("key", "show", str(ALICE), "--json").json()["certificates"][0]["fingerprint"]
    revoked = gate.run("key", "revoke", fingerprint, "--yes", environment=AHEAD)
    assert (revoked.status, "certificates: 1" in revoked.out) == (0, True)

    for clock in ({}, BACK, AHEAD):
        assert up_at(gate, clock) == 403
    times = [event["time"] for event in gate.good("audit", "log", "--json").json()]
    assert times != sorted(times)
    gate.good("audit", "verify")
