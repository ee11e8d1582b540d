# SPDX-License-Identifier: Apache-2.0
"""Open the applications of a YubiKey, and put what goes wrong on the way into words."""

from collections.abc import Iterator
from contextlib import contextmanager

from smartcard.Exceptions import SmartcardException
from yubikit.core import (
    TRANSPORT,
    ApplicationNotAvailableError,
    BadResponseError,
    CommandError,
    NotSupportedError,
)
from yubikit.core.smartcard import SW, ApduError, SmartCardConnection
from yubikit.management import CAPABILITY, DeviceInfo, ManagementSession
from yubikit.piv import PivSession

from pivgate.errors import DeviceError

_AGAIN = "Plug it in and run the same command again: it goes on where it stopped."

_STATUS = {
    SW.SECURITY_CONDITION_NOT_SATISFIED: (
        "The YubiKey refused: the PIN was not verified, or it was not touched in time",
        "Run the same command again, and touch the key when it blinks.",
    ),
    SW.NO_SPACE: (
        "The YubiKey has no room left for this",
        "Delete certificates that are no longer needed: `ykman piv certificates delete SLOT`.",
    ),
    SW.MEMORY_FAILURE: (
        "The YubiKey could not write its memory",
        "Run the same command again. If it stays like this, the key is worn out or damaged.",
    ),
}


@contextmanager
def spoken_errors() -> Iterator[None]:
    """Turn what yubikit and pyscard raise into errors that say what to do.

    Raises:
        DeviceError: The key was pulled out, is not a YubiKey, has PIV off, or refused a command.
    """
    try:
        yield
    except SmartcardException as error:
        raise DeviceError(
            f"The YubiKey does not answer, it may have been pulled out: {error}", _AGAIN
        ) from error
    except ApplicationNotAvailableError as error:
        raise DeviceError(
            "The PIV application of this YubiKey is switched off",
            "Switch it on with `pivgate key provision`, or with `ykman config usb --enable PIV`.",
        ) from error
    except ApduError as error:
        raise _refused(error) from error
    except CommandError as error:
        raise DeviceError(f"The YubiKey gave an answer that makes no sense: {error}", _AGAIN) from error
    except NotSupportedError as error:
        raise DeviceError(
            f"This YubiKey cannot do that: {error}", "Look at what it is with `pivgate key list`."
        ) from error


def _refused(error: ApduError) -> DeviceError:
    for status, (message, hint) in _STATUS.items():
        if error.sw == status:
            return DeviceError(message, hint)
    return DeviceError(
        f"The YubiKey refused a command (status {error.sw:04X})",
        "Look at the key with `pivgate key list` and run the same command again.",
    )


def read_device_info(connection: SmartCardConnection) -> DeviceInfo:
    """Read what a YubiKey says of itself.

    Raises:
        DeviceError: The card is of another make, or a YubiKey older than the YubiKey 4.
    """
    try:
        return ManagementSession(connection).read_device_info()
    except (ApplicationNotAvailableError, ApduError, BadResponseError, ValueError) as error:
        # NotSupportedError, and what a stranger's answer to SELECT makes of a version, are ValueErrors.
        raise DeviceError(
            "This card is not a YubiKey 4 or 5, but of another make or older",
            "Put in a YubiKey with firmware 4.3 or later.",
        ) from error


def enabled_applications(info: DeviceInfo, transport: TRANSPORT) -> CAPABILITY:
    """Return the applications that can be reached over a transport.

    Firmware below 5.0 has no such switches: there everything that it supports is on.
    """
    supported = info.supported_capabilities.get(transport, CAPABILITY(0))
    return info.config.enabled_capabilities.get(transport, supported)


def open_piv(connection: SmartCardConnection) -> PivSession:
    """Select the PIV application; the PIN and the management key have to be given anew after that."""
    return PivSession(connection)
