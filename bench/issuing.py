# SPDX-License-Identifier: Apache-2.0
"""Issuing: a certificate signed and recorded, beside ``openssl ca`` with the same requests and key."""

import os
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bench.comparison import Aim, Comparison
from bench.openssl_ca import OpensslCa
from bench.options import Options
from bench.place import ACTOR, PROFILE, Place, now, place, register_key, request_for
from bench.rounds import milliseconds_each, take_in_turn
from pivgate.authority.issue import issue_client
from pivgate.authority.names import Subject
from pivgate.authority.policy import check_public_key
from pivgate.authority.request import parse_request

FIGURE = "issuing"
FIRMWARE = (5, 7, 4)

_AIM = Aim(20, at_most=False)
_TURNS = 50
# Where there is no disk to wait for; openssl never waits for one.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


def measure(options: Options) -> Iterator[Comparison]:
    """Issue the same requests on both sides, in turns, on the disk and in memory."""
    requests = [request_for(ec.generate_private_key(ec.SECP384R1())) for _ in range(options.certificates)]
    for where, parent in (("on disk", None), ("in memory", _MEMORY)):
        if parent is not None and not parent.is_dir():
            continue
        values = _compare(requests if parent is None else requests[: len(requests) // 10], parent)
        yield Comparison(
            FIGURE,
            f"sign and record, {where}",
            "openssl ca",
            "ms",
            values["pivgate"],
            values["openssl"],
            _AIM,
            inverse=True,
        )
        yield Comparison(
            FIGURE, f"sign only, {where}", "openssl ca", "ms", values["sign"], values["openssl"], inverse=True
        )


def _compare(requests: list[bytes], parent: Path | None) -> dict[str, list[float]]:
    share = max(1, len(requests) // _TURNS)
    with place(parent) as there:
        judge = OpensslCa(there)
        files = judge.write_requests(requests)
        ours, signed, theirs = iter(requests), iter(requests), iter(files)
        serials = count(1)

        def turn_of_ours() -> float:
            return milliseconds_each(
                lambda request: issue(there, next(serials), request), list(islice(ours, share))
            )

        def turn_of_signing() -> float:
            return milliseconds_each(lambda request: sign(there, request), list(islice(signed, share)))

        def turn_of_theirs() -> float:
            return milliseconds_each(judge.issue, list(islice(theirs, share)))

        sides = {"pivgate": turn_of_ours, "openssl": turn_of_theirs, "sign": turn_of_signing}
        return take_in_turn(len(requests) // share, sides, warm_up=0)


def issue(there: Place, serial: int, request: bytes) -> None:
    """Take one request the whole way through authority and registry: a new key, its certificate in force."""
    register_key(there.registry, serial, "alice")
    der = sign(there, request)
    recorded = there.registry.record_certificate(der, serial, PROFILE, actor=ACTOR, now=now())
    there.registry.activate_certificate(recorded.fingerprint, actor=ACTOR, now=now())


def sign(there: Place, request: bytes) -> bytes:
    """Check a request and sign its certificate."""
    parsed = parse_request(request)
    check_public_key(parsed.public_key, FIRMWARE)
    certificate = issue_client(
        parsed, Subject("alice", None), there.authority, now=now(), days=365, randomness=os.urandom
    )
    return certificate.public_bytes(Encoding.DER)
