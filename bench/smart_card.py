# SPDX-License-Identifier: Apache-2.0
"""Signatures through the whole smart card stack: PKCS#11, OpenSC, pcscd, driver, emulated key.

Beside them: the same PKCS#11 calls to SoftHSM, which signs inside the caller's process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters
from ykman.piv import generate_self_signed_certificate
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY, PivSession

from bench.comparison import Aim, Comparison, Of
from bench.options import Options
from bench.rounds import milliseconds_each, take_in_turn
from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.state_file import save
from pivgate.emulator.yubikey import EmulatedYubiKey

FIGURE = "smart card"

_AIM = Aim(2, at_most=True, of=Of.OURS)
_PIN = "123456"
_DIGESTS = [bytes([number]) * 32 for number in range(200)]
_SOFTHSM = "softhsm/libsofthsm2.so"


def measure(options: Options) -> Iterator[Comparison]:
    """Sign with P-256 through PKCS#11 on both sides, in turn."""
    with TemporaryDirectory(prefix="pgb") as place, ExitStack() as stack:
        folder = Path(place)
        ours = stack.enter_context(_emulated_key(folder))
        peer = stack.enter_context(_software_key(folder))
        values = take_in_turn(
            options.rounds,
            {
                "ours": lambda: milliseconds_each(
                    lambda d: ours.sign(d, mechanism=Mechanism.ECDSA), _DIGESTS
                ),
                "peer": lambda: milliseconds_each(
                    lambda d: peer.sign(d, mechanism=Mechanism.ECDSA), _DIGESTS
                ),
            },
        )
    yield Comparison(
        FIGURE,
        "P-256 through OpenSC, pcscd and the emulated key",
        "P-256 through SoftHSM",
        "ms",
        values["ours"],
        values["peer"],
        _AIM,
    )


@contextmanager
def _emulated_key(folder: Path) -> Iterator[pkcs11.PrivateKey]:
    state = folder / "key.json"
    save(_with_key_pair(), state)
    process = subprocess.Popen(
        [sys.executable, "-m", "pivgate", "emulate", "--json", "--state", str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("its output was asked for")
        os.environ.update(json.loads(_document(process.stdout))["environment"])
        token = next(iter(pkcs11.lib(str(_library("opensc-pkcs11.so"))).get_tokens()))
        with token.open(user_pin=_PIN) as session:
            yield next(iter(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))
    finally:
        process.terminate()
        process.communicate()


def _document(lines: Iterator[bytes]) -> bytes:
    text = b""
    for line in lines:
        text += line
        if line == b"}\n":
            break
    return text


def _with_key_pair() -> EmulatedYubiKey:
    yubikey = EmulatedYubiKey(FIRMWARE["5.7.4"], 31000001)
    now = datetime.now(UTC)
    with EmulatedDevice(yubikey).open() as connection:
        session = PivSession(connection)
        session.authenticate(DEFAULT_MANAGEMENT_KEY)
        public = session.generate_key(
            SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.NEVER
        )
        session.verify_pin(_PIN)
        certificate = generate_self_signed_certificate(
            session, SLOT.AUTHENTICATION, public, "CN=bench", now, now + timedelta(days=1)
        )
        session.put_certificate(SLOT.AUTHENTICATION, certificate)
    return yubikey


@contextmanager
def _software_key(folder: Path) -> Iterator[pkcs11.PrivateKey]:
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "bench", "--so-pin", _PIN, "--pin", _PIN],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    token = pkcs11.lib(str(_library(_SOFTHSM))).get_token(token_label="bench")  # noqa: S106
    with token.open(rw=True, user_pin=_PIN) as session:
        parameters = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
        )
        _, private = parameters.generate_keypair()
        yield private


def _library(name: str) -> Path:
    places = [Path("/usr/lib"), *Path("/usr/lib").glob("*-linux-gnu"), Path("/usr/lib64")]
    found = next((path / name for path in places if (path / name).exists()), None)
    if found is None:
        raise RuntimeError(f"{name} is missing: apt install opensc-pkcs11 softhsm2")
    return found
