# SPDX-License-Identifier: Apache-2.0
"""What a YubiKey is and how it stands. Reading it changes nothing and spends no try."""

from dataclasses import dataclass

from yubikit.core import YUBIKEY, NotSupportedError
from yubikit.management import CAPABILITY, DeviceInfo
from yubikit.piv import PivSession
from yubikit.support import get_name

from pivgate.yubikey.find import Device
from pivgate.yubikey.management_key import is_factory, read_pivman
from pivgate.yubikey.pins import pin_tries, puk_tries
from pivgate.yubikey.session import enabled_applications, open_piv, read_device_info, spoken_errors
from pivgate.yubikey.slot import SlotContents, read_slot


@dataclass(frozen=True)
class PivReport:
    """The PIV application.

    Attributes:
        pin_tries: Wrong PINs that may still be given; 0 is blocked.
        puk_tries: The same for the PUK; None where firmware below 5.3 does not tell.
        pin_is_factory: The factory's PIN is in force; None where only trying it would tell.
        puk_is_factory: The same for the PUK.
        management_key_is_factory: The factory's management key is in force.
        management_key_is_stored: It is stored on the key, protected by the PIN.
        slot: Slot 9a.
    """

    pin_tries: int
    puk_tries: int | None
    pin_is_factory: bool | None
    puk_is_factory: bool | None
    management_key_is_factory: bool
    management_key_is_stored: bool
    slot: SlotContents


@dataclass(frozen=True)
class Report:
    """A YubiKey.

    Attributes:
        serial: Serial number; None for the few that hide it.
        model: Name of the product.
        firmware: Version of its firmware.
        form_factor: Shape and plug.
        piv_supported: It has a PIV application.
        locked: Its configuration is locked by a code: applications cannot be switched on without it.
        piv: The PIV application; None when it is switched off.
    """

    serial: int | None
    model: str
    firmware: tuple[int, int, int]
    form_factor: str
    piv_supported: bool
    locked: bool
    piv: PivReport | None


def read_report(device: Device) -> Report:
    """Read a YubiKey.

    Raises:
        DeviceError: It was pulled out, or is not a YubiKey.
    """
    with spoken_errors(), device.open() as connection:
        info = read_device_info(connection)
        on = bool(enabled_applications(info, connection.transport) & CAPABILITY.PIV)
        return Report(
            serial=info.serial,
            model=model_name(info),
            firmware=firmware_of(info),
            form_factor=str(info.form_factor),
            piv_supported=bool(info.supported_capabilities.get(connection.transport, 0) & CAPABILITY.PIV),
            locked=info.is_locked,
            piv=_read_piv(open_piv(connection)) if on else None,
        )


def model_name(info: DeviceInfo) -> str:
    """Return the name of the product, as Yubico's tools give it."""
    return get_name(info, YUBIKEY.YK4)


def firmware_of(info: DeviceInfo) -> tuple[int, int, int]:
    """Return the firmware as a plain triple."""
    return info.version.major, info.version.minor, info.version.patch


def _read_piv(piv: PivSession) -> PivReport:
    pin_is_factory: bool | None = None
    puk_is_factory: bool | None = None
    tries = puk_tries(piv)
    try:
        pin_is_factory = piv.get_pin_metadata().default_value
        puk_is_factory = piv.get_puk_metadata().default_value
    except NotSupportedError:
        if read_pivman(piv).puk_blocked:
            tries = 0
    return PivReport(
        pin_tries=pin_tries(piv),
        puk_tries=tries,
        pin_is_factory=pin_is_factory,
        puk_is_factory=puk_is_factory,
        management_key_is_factory=is_factory(piv),
        management_key_is_stored=read_pivman(piv).has_stored_key,
        slot=read_slot(piv),
    )
