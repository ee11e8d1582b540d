# SPDX-License-Identifier: Apache-2.0
"""Several keys at once: each program finds the one that it is told to use, and they do not mix."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import MESSAGE, judge
from tests.interop.pcsc.stories import OPENSC, PIN, YKCS11, Holder, holder
from yubikit.piv import KEY_TYPE, SLOT

from pivgate.emulator.piv.references import Secret

pytestmark = pytest.mark.interop

Place = tuple[CardTable, list[Holder]]
FIRST_SERIAL = 31000001
PROGRAM = Path(__file__).with_name("sign_at_once.py")


@pytest.fixture
def place() -> Iterator[Place]:
    holders = [
        holder(
            firmware, {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256}, serial=FIRST_SERIAL + number, generated=True
        )
        for number, firmware in enumerate(("5.4.3", "4.3.7", "5.7.4"))
    ]
    with card_table(*(each.yubikey for each in holders)) as table:
        yield table, holders


def sign(
    table: CardTable, folder: Path, number: int, module: str, pin: str = PIN
) -> "tuple[CompletedProcess[str], bytes]":
    """Sign with the key in one slot; each in files of its own, so that several can at once."""
    given, made = folder / f"given{number}", folder / f"made{number}"
    given.write_bytes(MESSAGE)
    made.unlink(missing_ok=True)
    done = table.run(
        *("pkcs11-tool", "--module", module, "--slot-index", str(number), "--login", "--pin", pin),
        *("--sign", "--id", "01", "--mechanism", "ECDSA-SHA256", "--signature-format", "openssl"),
        *("--input-file", given, "--output-file", made),
    )
    return done, made.read_bytes() if made.exists() else b""


def slot_order(table: CardTable, module: str) -> list[str]:
    """Return the readers in the order of a module's slots."""
    listed = table.run("pkcs11-tool", "--module", module, "--list-slots").stdout
    return [line.split(": ", 1)[1] for line in listed.splitlines() if line.startswith("Slot ")]


def in_slot_order(table: CardTable, holders: list[Holder], module: str) -> list[Holder]:
    """Return the holders in the order of a module's slots."""
    readers = {
        f"{each.yubikey.firmware.reader_name} {number:02d} 00": each for number, each in enumerate(holders)
    }
    order = [readers[name] for name in slot_order(table, module)]
    assert len(order) == len(holders)
    return order


def test_programs_sign_side_by_side(place: Place, tmp_path: Path) -> None:
    # OpenSC only: ykcs11 opens all keys, and resets all of them when it ends. Where that falls into another
    # program's transaction, ykcs11 there says CKR_DEVICE_ERROR: it looks for a reset only at the beginning.
    table, holders = place
    order = in_slot_order(table, holders, OPENSC)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            signing = [pool.submit(sign, table, tmp_path, number, OPENSC) for number in range(3)]
            for each, one in zip(order, signing, strict=True):
                done, signature = one.result()
                assert done.returncode == 0, done
                judge("ECDSA-SHA256", each.public_key(SLOT.AUTHENTICATION), signature, tmp_path)


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_one_program_signs_with_all_keys_at_once(place: Place, module: str, tmp_path: Path) -> None:
    table, holders = place
    order = in_slot_order(table, holders, module)
    done = table.run(sys.executable, PROGRAM, module, PIN, "5", given=MESSAGE)
    assert done.returncode == 0, done
    signed = [line.split() for line in done.stdout.splitlines()]
    assert sorted(number for number, _ in signed) == sorted("012" * 5)
    for number, signature in signed:
        raw = bytes.fromhex(signature)
        middle = len(raw) // 2
        r, s = (int.from_bytes(half, "big") for half in (raw[:middle], raw[middle:]))
        public_key = order[int(number)].public_key(SLOT.AUTHENTICATION)
        judge("ECDSA-SHA256", public_key, encode_dss_signature(r, s), tmp_path)


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_a_wrong_pin_and_a_pulled_key_are_nobody_elses(place: Place, module: str, tmp_path: Path) -> None:
    table, holders = place
    done, _ = sign(table, tmp_path, 0, module, pin="000000")
    assert done.returncode == 1
    left = sorted(each.yubikey.piv.state.secrets[Secret.PIN].left for each in holders)
    assert left == [2, 3, 3]

    table.readers[1].remove()
    table.await_cards(2)
    served = 0
    for number in range(len(slot_order(table, module))):
        done, _ = sign(table, tmp_path, number, module)
        served += done.returncode == 0
    assert served == 2


def test_yubico_piv_tool_takes_the_reader_that_it_is_told(place: Place) -> None:
    table, holders = place
    for number, each in enumerate(holders):
        reader = f"{each.yubikey.firmware.reader_name} {number:02d} 00"
        done = table.run("yubico-piv-tool", "--reader", reader, "-a", "status")
        assert f"Serial Number:\t{each.yubikey.serial}\n" in done.stdout
        assert f"Version:\t{each.yubikey.firmware.name}\n" in done.stdout


def test_opensc_takes_the_reader_that_it_is_told(place: Place) -> None:
    table, holders = place
    for number, each in enumerate(holders):
        done = table.run("opensc-tool", "--reader", str(number), "--atr")
        assert done.stdout.strip() == each.yubikey.firmware.atr.hex(":")


def test_a_key_is_found_by_its_serial_number_in_a_pkcs11_address(place: Place) -> None:
    table, holders = place
    for each in holders:
        url = f"pkcs11:serial={each.yubikey.serial};id=%01;type=cert"
        done = table.run("p11tool", "--provider", YKCS11, "--export", url)
        pem = done.stdout[done.stdout.index("-----BEGIN") :]
        assert x509.load_pem_x509_certificate(pem.encode()) == each.certificates[SLOT.AUTHENTICATION]
