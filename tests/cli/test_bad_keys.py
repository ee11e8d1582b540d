# SPDX-License-Identifier: Apache-2.0
"""Keys that cannot be used as they are, and times at which nothing may be signed."""

from contextlib import suppress

import pytest

from pivgate.emulator.state_file import load, save
from tests.cli.conftest import ALICE, Machine, refused


def test_no_key_is_plugged_in(founded: Machine) -> None:
    refused(founded.provision("alice"), 5, "no YubiKey")


def test_several_keys_and_no_serial_are_listed(founded: Machine) -> None:
    founded.plug_in(ALICE)
    founded.plug_in(ALICE + 1)
    refused(founded.provision("alice"), 5, "--serial", str(ALICE), str(ALICE + 1))
    assert founded.provision("alice", "--serial", str(ALICE + 1)).status == 0


def test_piv_switched_off_is_switched_on(founded: Machine) -> None:
    founded.plug_in(ALICE)
    disable_piv(founded, lock_code=None)
    assert founded.good("key", "list", "--json").json()["plugged_in"][0]["piv"] == "off"
    assert founded.provision("alice").status == 0


def test_piv_switched_off_and_locked_by_a_code(founded: Machine) -> None:
    founded.plug_in(ALICE)
    disable_piv(founded, lock_code=bytes(range(16)))
    refused(founded.provision("alice"), 5, "a configuration code locks", "ykman config")


def disable_piv(machine: Machine, lock_code: bytes | None) -> None:
    from smartcard.Exceptions import CardConnectionException
    from yubikit.core import TRANSPORT
    from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession

    from pivgate.emulator.connection import EmulatedDevice

    path = machine.port / f"{ALICE}.json"
    yubikey = load(path)
    with EmulatedDevice(yubikey).open() as connection:
        others = CAPABILITY.OTP | CAPABILITY.FIDO2 | CAPABILITY.OATH
        config = DeviceConfig({TRANSPORT.USB: others}, None, None, None)
        ManagementSession(connection).write_device_config(config, True, None, lock_code)
        with suppress(CardConnectionException):  # the key has restarted meanwhile
            connection.close()
    path.unlink()
    save(yubikey, path)


@pytest.mark.filterwarnings("ignore:Deprecated. use x509.Name:DeprecationWarning")
def test_a_foreign_certificate_is_not_overwritten(founded: Machine) -> None:
    founded.plug_in(ALICE)
    install_foreign_certificate(founded)
    before = (founded.port / f"{ALICE}.json").read_text()
    refused(founded.provision("alice"), 5, "--replace")
    assert (founded.port / f"{ALICE}.json").read_text() == before
    assert founded.provision("alice", "--replace").status == 0


def install_foreign_certificate(machine: Machine) -> None:
    from datetime import UTC, datetime, timedelta

    from ykman.piv import generate_self_signed_certificate
    from yubikit.piv import KEY_TYPE, SLOT, PivSession

    from pivgate.emulator.connection import EmulatedDevice

    path = machine.port / f"{ALICE}.json"
    yubikey = load(path)
    with EmulatedDevice(yubikey).open() as connection:
        piv = PivSession(connection)
        piv.authenticate(bytes.fromhex("010203040506070801020304050607080102030405060708"))
        public_key = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
        piv.verify_pin("123456")
        now = datetime.now(UTC)
        certificate = generate_self_signed_certificate(
            piv, SLOT.AUTHENTICATION, public_key, "CN=somebody else", now, now + timedelta(days=9)
        )
        piv.put_certificate(SLOT.AUTHENTICATION, certificate)
    path.unlink()
    save(yubikey, path)


def test_an_expired_authority_signs_nothing(founded: Machine) -> None:
    founded.plug_in(ALICE)
    result = founded.provision("alice", environment={"DAYS_FROM_NOW": "3651"})
    refused(result, 1, "authority ended")
    assert not list(founded.home.access.glob("*/*"))


def test_a_clock_before_the_authoritys_start(founded: Machine) -> None:
    founded.plug_in(ALICE)
    result = founded.provision("alice", environment={"DAYS_FROM_NOW": "-2"})
    refused(result, 1, "clock")
