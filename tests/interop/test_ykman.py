# SPDX-License-Identifier: Apache-2.0
"""Yubico's own command line, run on the emulated key in the place of a PC/SC device."""

from typing import Any

import pytest
from click.testing import CliRunner
from ykman._cli import __main__ as ykman
from ykman.base import YkmanDevice
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection
from yubikit.management import ManagementSession

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 31000001


class Plugged(YkmanDevice):  # type: ignore[misc]
    """What ykman's search over PC/SC would have found."""

    def __init__(self, device: EmulatedDevice) -> None:
        super().__init__(TRANSPORT.USB, "emulated", device.pid)
        self.device = device

    def supports_connection(self, connection_type: type) -> bool:
        return issubclass(SmartCardConnection, connection_type)

    def open_connection(self, _connection_type: type) -> Any:
        return self.device.open()

    def _do_reinsert(self, *_arguments: object) -> None:
        raise NotImplementedError


def run(monkeypatch: pytest.MonkeyPatch, firmware: str, *arguments: str) -> str:
    device = EmulatedDevice(EmulatedYubiKey(FIRMWARE[firmware], SERIAL))
    plugged = Plugged(device)
    with device.open() as connection:
        info = ManagementSession(connection).read_device_info()
    monkeypatch.setattr(ykman, "_list_all_devices", lambda *_args, **_options: [(plugged, info)])
    monkeypatch.setattr(ykman, "scan_devices", lambda: ({device.pid: 1}, 1))
    result = CliRunner().invoke(ykman.cli, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.mark.interop
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_ykman_info(monkeypatch: pytest.MonkeyPatch, firmware: str) -> None:
    said = run(monkeypatch, firmware, "info")
    assert f"Serial number: {SERIAL}" in said
    assert f"Firmware version: {firmware}" in said
    assert "PIV" in said


@pytest.mark.interop
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_ykman_piv_info(monkeypatch: pytest.MonkeyPatch, firmware: str) -> None:
    said = run(monkeypatch, firmware, "piv", "info")
    assert "PIN tries remaining:" in said
    assert "3" in said
    if firmware.startswith(("5.7", "5.4")):
        assert "WARNING: Using default PIN!" in said
