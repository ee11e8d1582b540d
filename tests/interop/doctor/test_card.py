# SPDX-License-Identifier: Apache-2.0
"""Faults of keys and of the smart card service: emulated YubiKeys, each with one, behind a real pcscd."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.card_table import CardTable, card_table, new_key
from tests.interop.doctor.patient import DAY, Patient, copied, enrol, issue
from tests.interop.gate.pki import Authority as Stranger
from tests.interop.gate.pki import common_name
from yubikit.core import InvalidPinError
from yubikit.core.smartcard import ApduError
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, MANAGEMENT_KEY_TYPE, SLOT, PivSession

from pivgate.doctor.card_facts import gather_cards
from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.management import Capability
from pivgate.emulator.yubikey import EmulatedYubiKey
from pivgate.gate.access import synchronise

pytestmark = pytest.mark.interop

PIN, PUK = "246813", "97531246"
OWN_KEY = bytes(range(24)) + bytes(range(8))
SOUND = 32000000

Certify = Callable[[Any], x509.Certificate]


def provisioned(key: EmulatedYubiKey, certify: Certify, *keep: str) -> None:
    """Provision a key, but for what is to stay as it came from the factory."""
    with EmulatedDevice(key).open() as connection:
        piv = PivSession(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        public_key = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
        piv.put_certificate(SLOT.AUTHENTICATION, certify(public_key))
        if "pin" not in keep:
            piv.change_pin("123456", PIN)
        if "puk" not in keep:
            piv.change_puk("12345678", PUK)
        if "management key" not in keep:
            piv.set_management_key(MANAGEMENT_KEY_TYPE.AES256, OWN_KEY)


def spend(key: EmulatedYubiKey, name: str, times: int) -> None:
    with EmulatedDevice(key).open() as connection:
        piv = PivSession(connection)
        for _ in range(times):
            with suppress(InvalidPinError, ApduError):
                if name == "PIN":
                    piv.verify_pin("000000")
                else:
                    piv.change_puk("00000000", "11223344")


def switch_piv_off(key: EmulatedYubiKey) -> None:
    state = key.management.state
    key.management.state = dataclasses.replace(state, usb_enabled=state.usb_enabled & ~Capability.PIV)


# The one whose certificate has ended; of the other, the registry does not know.
ENDED = SOUND + 12

# Serial number → the fault that is planted in that key.
FAULTS = {
    SOUND: None,
    SOUND + 1: "pin-factory",
    SOUND + 2: "puk-factory",
    SOUND + 3: "management-key-factory",
    SOUND + 4: "pin-blocked",
    SOUND + 5: "pin-last-try",
    SOUND + 6: "puk-blocked",
    SOUND + 7: "piv-off",
    SOUND + 8: "key-not-provisioned",
    SOUND + 9: "certificate-foreign",
    SOUND + 10: "certificate-not-in-force",
    SOUND + 11: "slot-key-differs",
    SOUND + 12: "certificate-not-in-force",
}


@pytest.fixture(scope="module")
def patient(sound: Patient) -> Iterator[Patient]:
    """A home with a key for each fault."""
    with copied(sound) as patient:
        yield patient


@pytest.fixture(scope="module")
def table(patient: Patient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardTable]:
    """All those keys, plugged in."""
    keys = [new_key(serial=serial) for serial in FAULTS]
    stranger = Stranger(tmp_path_factory.mktemp("stranger"))
    authority = patient.authority()
    with patient.registry() as registry:

        def ours(serial: int) -> Certify:
            def certify(public_key: Any) -> x509.Certificate:
                certificate = issue(authority, "alice", public_key)
                enrol(registry, "alice", serial, certificate)
                return certificate

            return certify

        for key, (serial, fault) in zip(keys, FAULTS.items(), strict=True):
            plant(
                key, fault, ours(serial), lambda public_key: issue(authority, "alice", public_key), stranger
            )
        synchronise(patient.home.access, registry.access(datetime.now(UTC)))
    with card_table(*keys) as laid:
        yield laid


def plant(
    key: EmulatedYubiKey, fault: str | None, ours: Certify, unknown: Certify, stranger: Stranger
) -> None:
    """Provision a key with one fault."""
    kept = {"pin-factory": "pin", "puk-factory": "puk", "management-key-factory": "management key"}
    if fault == "key-not-provisioned":
        return
    if fault == "certificate-foreign":
        provisioned(key, lambda public_key: foreign(stranger, public_key))
    elif key.serial == ENDED:
        provisioned(key, ended)
    elif fault == "certificate-not-in-force":
        provisioned(key, unknown)
    elif fault == "slot-key-differs":
        other = ec.generate_private_key(ec.SECP256R1()).public_key()
        provisioned(key, lambda _: ours(other))
    else:
        provisioned(key, ours, kept.get(fault or "", ""))
    if fault in ("pin-blocked", "pin-last-try"):
        spend(key, "PIN", 3 if fault == "pin-blocked" else 2)
    if fault == "puk-blocked":
        spend(key, "PUK", 3)
    if fault == "piv-off":
        switch_piv_off(key)


def ended(public_key: Any) -> x509.Certificate:
    begun = datetime.now(UTC) - 400 * DAY
    own = ec.generate_private_key(ec.SECP256R1())
    name = common_name("alice")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(8)
        .not_valid_before(begun)
        .not_valid_after(begun + 300 * DAY)
        .sign(own, hashes.SHA256())
    )


def foreign(stranger: Stranger, public_key: Any) -> x509.Certificate:
    begun = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(stranger.name)
        .issuer_name(stranger.name)
        .public_key(public_key)
        .serial_number(7)
        .not_valid_before(begun)
        .not_valid_after(begun.replace(year=begun.year + 1))
        .sign(stranger.key, stranger._hash())
    )


def codes(table: CardTable, patient: Patient) -> dict[str, list[str]]:
    """Have a new process look at the cards; return the faults of each."""
    done = table.run(
        *(sys.executable, "-m", "pivgate", "--home", patient.home.root, "doctor", "card", "--json")
    )
    assert "Traceback" not in done.stderr, done.stderr
    (area,) = json.loads(done.stdout)["areas"]
    found: dict[str, list[str]] = {}
    for finding in area["findings"]:
        found.setdefault(finding["what"], []).append(finding["code"])
    return found


def test_each_key_has_its_one_fault_named(table: CardTable, patient: Patient) -> None:
    before = len(table.log)
    assert codes(table, patient) == {
        f"YubiKey {serial}": [fault] for serial, fault in FAULTS.items() if fault is not None
    }
    # No PIN was tried, nothing was written and nothing signed: VERIFY with data, PUT DATA, GENERATE, IMPORT.
    commands = [command for command, _ in table.log[before:]]
    assert commands
    assert not [each for each in commands if each[1] == 0x20 and len(each) > 5]
    assert not [each for each in commands if each[1] in (0xDB, 0x47, 0xFE, 0xFF, 0x24, 0x2C)]
    assert table.signatures() == 0


def test_a_card_that_another_process_holds_is_named(table: CardTable, patient: Patient) -> None:
    script = Path(__file__).with_name("hold_card.py")
    process = subprocess.Popen(
        [sys.executable, script, "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=table.environment,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        found = codes(table, patient)
    finally:
        process.communicate("", timeout=20)
    assert f"YubiKey {SOUND}" not in found
    assert ["card-held"] in found.values()
    assert len(found) == len(FAULTS)


def test_a_service_that_is_down_is_named(table: CardTable, patient: Patient) -> None:
    table.service.stop()
    try:
        assert codes(table, patient) == {"pcscd": ["pcsc-down"]}
    finally:
        table.service.start()
        table.await_cards(len(FAULTS))


def test_keys_on_usb_are_counted(patient: Patient) -> None:
    for number, vendor in enumerate(("1050", "046d", "1050")):
        device = patient.machine / f"sys/bus/usb/devices/1-{number}"
        device.mkdir(parents=True)
        (device / "idVendor").write_text(f"{vendor}\n")
    facts = gather_cards(patient.place())
    assert facts.plugged == 2
    assert not facts.installed
