# SPDX-License-Identifier: Apache-2.0
"""The first steps: the key is fit, PIV is on, the slot is free, and PIN, PUK and management key are set."""

from yubikit.core import NotSupportedError
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.piv import PinMetadata

from pivgate.errors import DeviceError
from pivgate.yubikey import management_key, pins
from pivgate.yubikey.algorithms import check_algorithm
from pivgate.yubikey.session import enabled_applications
from pivgate.yubikey.work import Work


def firmware_is_fit(work: Work) -> str:
    """Check that the firmware can make a sound key of the kind wanted."""
    check_algorithm(work.plan.algorithm, work.facts.firmware)
    return f"firmware {work.info.version} makes {work.plan.algorithm}"


def piv_is_on(work: Work) -> str | None:
    """Tell whether the PIV application can be reached."""
    on = enabled_applications(work.info, work.transport) & CAPABILITY.PIV
    return f"over {work.transport}" if on else None


def switch_piv_on(work: Work) -> None:
    """Switch the PIV application on, and leave the others as they are."""
    supported = work.info.supported_capabilities.get(work.transport, CAPABILITY(0))
    if not supported & CAPABILITY.PIV:
        raise DeviceError(
            f"The {work.facts.model} has no PIV application", "Use a YubiKey of the 4 or 5 series."
        )
    if work.info.is_locked:
        raise DeviceError(
            "PIV is switched off, and a configuration code locks the switch",
            "Let whoever has the code run `ykman config usb --enable PIV`, then run the same command again.",
        )
    applications = enabled_applications(work.info, work.transport) | CAPABILITY.PIV
    # Without a reboot: the smart card interface is on, since we are talking over it.
    ManagementSession(work.connection).write_device_config(DeviceConfig({work.transport: applications}))
    work.configured()


def is_registered(work: Work) -> str | None:
    """Tell whether it is on record that this key is being provisioned."""
    return "on record" if work.resume.started or work.registered else None


def register(work: Work) -> None:
    """Put on record that this key is being provisioned."""
    work.enrolment.begin(work.facts)
    work.registered = True


def puk_is_set(work: Work) -> str | None:
    """Tell whether the PUK is no longer the factory's."""
    if management_key.read_pivman(work.piv).puk_blocked:
        return "blocked on purpose: a forgotten PIN means a reset of PIV"
    metadata = _puk_metadata(work)
    if metadata is not None:
        if metadata.attempts_remaining == 0:
            raise pins.blocked("PUK")
        return None if metadata.default_value else "set"
    if work.puk_is_ours or work.was_certified:
        return "set"
    if work.pin_is_factory():
        return None
    work.notes.append(
        f"Firmware {work.info.version} does not say whether the PUK is still the factory's. "
        "If you have never set it, do so: `ykman piv access change-puk`."
    )
    return "left as it is: this firmware does not show it"


def set_puk(work: Work) -> None:
    """Replace the factory's PUK.

    Firmware below 5.3 shows neither the PUK's state nor its counter, so nothing may be tried on it. There,
    while the PIN is the factory's, both are first set back to the factory's values with full counters.
    """
    pin = work.new_pin() if work.pin_is_factory() else work.verify_pin()
    puk = work.plan.secrets.new_puk()
    pins.check_new_puk(puk, pin)
    if _puk_metadata(work) is None:
        work.verify_pin()
        work.authenticate()
        work.piv.set_pin_attempts(_FULL_TRIES, _FULL_TRIES)
        work.pin_changed(pins.FACTORY_PIN)
    pins.change_puk(work.piv, pins.FACTORY_PUK, puk)
    work.puk_is_ours = True


_FULL_TRIES = 3


def _puk_metadata(work: Work) -> PinMetadata | None:
    try:
        return work.piv.get_puk_metadata()
    except NotSupportedError:
        return None


def pin_is_set(work: Work) -> str | None:
    """Tell whether the PIN is no longer the factory's."""
    return None if work.pin_is_factory() else "set"


def set_pin(work: Work) -> None:
    """Replace the factory's PIN."""
    pin = work.new_pin()
    pins.change_pin(work.piv, pins.FACTORY_PIN, pin)
    work.pin_changed(pin)


def management_key_is_protected(work: Work) -> str | None:
    """Tell whether the management key is random and stored on the key."""
    if not work.management_key_is_protected():
        return None
    return f"{work.piv.management_key_type.name}, stored on the key, protected by the PIN"


def protect_management_key(work: Work) -> None:
    """Put a random management key in force and store it on the key."""
    source = work.authenticate()
    work.verify_pin()
    management_key.protect(
        work.piv, source, work.facts.firmware, work.plan.randomness, replace=work.plan.replace
    )
