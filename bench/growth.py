# SPDX-License-Identifier: Apache-2.0
"""Growth: what a certificate costs in a large registry and a large access tree, beside a small one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, cycle

from cryptography.hazmat.primitives.asymmetric import ec

from bench.comparison import Aim, Comparison
from bench.crowd import fill
from bench.issuing import FIRMWARE, issue
from bench.options import Options
from bench.place import ACTOR, Place, now, place, request_for
from bench.rounds import milliseconds, milliseconds_each, take_in_turn
from pivgate.enrolment.access import bring_tree_to_registry
from pivgate.enrolment.local import LocalEnrolment
from pivgate.yubikey.plan import KeyFacts

FIGURE = "growth"

_AIM = Aim(1.5, at_most=True)
_SMALL = 1_000
_SHARE = 10
# Serial numbers of YubiKeys that no crowd has.
_NEW_SERIALS = 3_000_000_000


def measure(options: Options) -> Iterator[Comparison]:
    """Issue into a small and a large registry in turn; then enrol whole keys, access tree and all."""
    requests = cycle([request_for(ec.generate_private_key(ec.SECP384R1())) for _ in range(_SHARE)])
    serials = count(_NEW_SERIALS)

    def issue_some(there: Place) -> float:
        part = [next(requests) for _ in range(_SHARE)]
        return milliseconds_each(lambda request: issue(there, next(serials), request), part)

    def enrol_one(there: Place) -> float:
        request = next(requests)
        return milliseconds(lambda: enrol(there, next(serials), request))

    yield _compare("issue and record", "rows", options.rows, options.rounds, issue_some)
    yield _compare("enrol, tree and all,", "in force", options.entries, options.rounds, enrol_one)


def enrol(there: Place, serial: int, request: bytes) -> None:
    """Enrol a key as provisioning does."""
    enrolment = LocalEnrolment(
        there.home,
        there.registry,
        "alice",
        unlock=lambda: there.authority,
        authority_certificate=there.authority.certificate,
        client_days=365,
        actor=ACTOR,
        clock=now,
    )
    facts = KeyFacts(serial=serial, firmware=FIRMWARE, model="YubiKey 5C NFC", form_factor="USB-C keychain")
    enrolment.look_up(facts)
    enrolment.begin(facts)
    enrolment.activate(enrolment.certify(request))


def _compare(what: str, of: str, size: int, rounds: int, turn: Callable[[Place], float]) -> Comparison:
    with ExitStack() as stack:
        small, large = (stack.enter_context(place()) for _ in range(2))
        for there, people in ((small, _SMALL), (large, size)):
            fill(there, people)
            if of == "in force":
                bring_tree_to_registry(there.home, there.registry, actor=ACTOR, now=now())
        values = take_in_turn(rounds, {"small": lambda: turn(small), "large": lambda: turn(large)})
    return Comparison(
        FIGURE,
        f"{what} at {size:,} {of}",
        f"at {_SMALL:,}",
        "ms",
        values["large"],
        values["small"],
        _AIM,
    )
