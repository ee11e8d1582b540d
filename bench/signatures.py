# SPDX-License-Identifier: Apache-2.0
"""Signatures: how fast the emulated YubiKey signs through yubikit, beside OpenSSL signing in software."""

import os
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    KEY_TYPE,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    PivSession,
)

from bench.comparison import Aim, Comparison, Of
from bench.options import Options
from bench.rounds import take_in_turn
from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

FIGURE = "signatures"

_AIM = Aim(1_000, at_most=False, of=Of.OURS)
_FACTORY_PIN = "123456"
_SIGNATURES = 500


def measure(options: Options) -> Iterator[Comparison]:
    """Sign with P-256 on both sides, in turn."""
    software = ec.generate_private_key(ec.SECP256R1())
    message = os.urandom(64)
    with EmulatedDevice(EmulatedYubiKey(FIRMWARE["5.7.4"], 31000001)).open() as connection:
        session = PivSession(connection)
        session.authenticate(DEFAULT_MANAGEMENT_KEY)
        session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.NEVER)
        session.verify_pin(_FACTORY_PIN)
        values = take_in_turn(
            options.rounds,
            {
                "emulator": lambda: _rate(
                    lambda: session.sign(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, message, hashes.SHA256())
                ),
                "software": lambda: _rate(lambda: software.sign(message, ec.ECDSA(hashes.SHA256()))),
            },
        )
    yield Comparison(
        FIGURE,
        "P-256, emulated YubiKey through yubikit",
        "P-256, OpenSSL in software",
        "/s",
        values["emulator"],
        values["software"],
        _AIM,
    )


def _rate(sign: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(_SIGNATURES):
        sign()
    return _SIGNATURES / (time.perf_counter() - started)
