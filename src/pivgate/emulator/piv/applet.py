# SPDX-License-Identifier: Apache-2.0
"""The PIV application: which commands there are, what each one needs, and who carries it out; as tables."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pivgate.emulator.apdu import CommandApdu, StatusError, StatusWord
from pivgate.emulator.attestation import AttestationIdentity
from pivgate.emulator.firmware import Firmware
from pivgate.emulator.piv import (
    commands,
    key_store,
    management_key,
    metadata,
    objects,
    pins,
    private_use,
)
from pivgate.emulator.piv.decode import INS_GET_METADATA, INS_GET_SERIAL, INS_MOVE_KEY, decode
from pivgate.emulator.piv.device import Device
from pivgate.emulator.piv.session import Session
from pivgate.emulator.piv.state import PivState, factory_state

AID = bytes.fromhex("A000000308000010000100")
# The version part of the identifier, and the authority that allots it: what YubiKeys answer to SELECT.
_PROPERTY_TEMPLATE = bytes.fromhex("61114F0600001000010079074F05A000000308")


def get_version(device: Device, _command: commands.GetVersion) -> bytes:
    """Return major, minor and patch."""
    return bytes(device.firmware.version)


def get_serial(device: Device, _command: commands.GetSerial) -> bytes:
    """Return the serial number, big-endian."""
    return device.serial.to_bytes(4, "big")


def reset(device: Device, _command: commands.Reset) -> bytes:
    """Return to factory state.

    Raises:
        StatusError: 6985, a try is left for the PIN or for the PUK.
    """
    if not all(secret.blocked for secret in device.state.secrets.values()):
        raise StatusError(StatusWord.CONDITIONS_NOT_SATISFIED)
    device.state.reset(device.firmware)
    device.session = Session()
    return b""


_NEWER_INSTRUCTIONS: Mapping[int, Callable[[Firmware], bool]] = MappingProxyType(
    {
        INS_MOVE_KEY: lambda firmware: firmware.move_key,
        INS_GET_METADATA: lambda firmware: firmware.metadata,
        INS_GET_SERIAL: lambda firmware: firmware.serial_command,
    }
)
"""Instructions that not every firmware knows."""

_MANAGEMENT_ONLY = frozenset(
    {
        commands.DeleteKey,
        commands.Generate,
        commands.Import,
        commands.MoveKey,
        commands.PutData,
        commands.SetManagementKey,
        commands.SetRetries,
    }
)
"""Commands for whoever has proved to know the management key."""

_PIN_TOO = frozenset({commands.SetRetries})
"""Commands for which the PIN must be verified, whatever the key or object in question."""

# Each handler takes its own class of command, which the type system cannot say of a table.
_HANDLERS: Mapping[type[commands.Command], Callable[[Device, Any], bytes]] = MappingProxyType(
    {
        commands.Agree: private_use.agree,
        commands.AnswerChallenge: management_key.answer_challenge,
        commands.AnswerWitness: management_key.answer_witness,
        commands.Attest: key_store.attest,
        commands.BeginManagement: management_key.begin_management,
        commands.ChangeReference: pins.change_reference,
        commands.DeleteKey: key_store.delete_key,
        commands.ForgetPin: pins.forget_pin,
        commands.Generate: key_store.generate,
        commands.GetData: objects.get_data,
        commands.GetMetadata: metadata.get_metadata,
        commands.GetSerial: get_serial,
        commands.GetVersion: get_version,
        commands.Import: key_store.import_key,
        commands.MoveKey: key_store.move_key,
        commands.PutData: objects.put_data,
        commands.QueryPin: pins.query_pin,
        commands.Reset: reset,
        commands.ResetRetryCounter: pins.reset_retry_counter,
        commands.SetManagementKey: management_key.set_management_key,
        commands.SetRetries: pins.set_retries,
        commands.Sign: private_use.sign,
        commands.VerifyPin: pins.verify_pin,
    }
)


class PivApplet:
    """The PIV application of one key, fresh from the factory.

    Args:
        firmware: What it can do.
        serial: Serial number, below 2^32.
        attestation: What the factory put into slot F9.
        randomness: Source of witnesses, challenges and the serial numbers of statements; key pairs are made
            with the operating system's.
        clock: Seconds that only grow, for the 15 seconds of a cached touch.
        touch: Waits for a finger; False when none came in time.
    """

    aid = AID

    def __init__(
        self,
        firmware: Firmware,
        serial: int,
        attestation: AttestationIdentity,
        randomness: Callable[[int], bytes],
        clock: Callable[[], float],
        touch: Callable[[], bool],
    ) -> None:
        state = factory_state(firmware, attestation)
        self._device = Device(firmware, serial, randomness, clock, touch, state)

    @property
    def state(self) -> PivState:
        """What survives without power; assign what ``state.restore`` returns."""
        return self._device.state

    @state.setter
    def state(self, state: PivState) -> None:
        self._device.state = state
        self.power_off()

    def select(self) -> bytes:
        """Return the application property template."""
        return _PROPERTY_TEMPLATE

    def deselect(self) -> None:
        """Forget what this session proved."""
        self._device.session = Session()

    def power_off(self) -> None:
        """Forget what this session proved, and when the device was touched."""
        self._device.session = Session()
        self._device.touched_at = None

    def process(self, command: CommandApdu) -> bytes:
        """Carry out a command.

        Raises:
            StatusError: It was refused.
        """
        device = self._device
        device.session.begin_command()
        known = _NEWER_INSTRUCTIONS.get(command.ins)
        if known is not None and not known(device.firmware):
            raise StatusError(StatusWord.INSTRUCTION_NOT_SUPPORTED)
        decoded = decode(command)
        kind = type(decoded)
        _authorise(device.session, kind)
        return _HANDLERS[kind](device, decoded)


def _authorise(session: Session, kind: type[commands.Command]) -> None:
    """Check what the command needs before it looks at anything.

    Raises:
        StatusError: 6982.
    """
    if kind in _MANAGEMENT_ONLY and not session.management_authenticated:
        raise StatusError(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    if kind in _PIN_TOO and not session.pin_verified:
        raise StatusError(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
