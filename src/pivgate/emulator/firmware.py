# SPDX-License-Identifier: Apache-2.0
"""What each firmware can do, as data.

Sources: Yubico's "YubiKey 5 Series technical manual" (firmware overview), the release notes of firmware 5.4
and 5.7, and what yubikit asks of each version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from types import MappingProxyType


class KeyType(IntEnum):
    """Algorithm identifiers of key pairs (SP 800-78-4 table 6-2, and Yubico's own)."""

    RSA3072 = 0x05
    RSA1024 = 0x06
    RSA2048 = 0x07
    ECCP256 = 0x11
    ECCP384 = 0x14
    RSA4096 = 0x16
    ED25519 = 0xE0
    X25519 = 0xE1


class ManagementKeyType(IntEnum):
    """Algorithm identifiers of management keys (SP 800-78-4 table 6-2)."""

    TDES = 0x03
    AES128 = 0x08
    AES192 = 0x0A
    AES256 = 0x0C

    @property
    def key_length(self) -> int:
        """Length of the key in bytes."""
        return 24 if self is ManagementKeyType.TDES else {0x08: 16, 0x0A: 24, 0x0C: 32}[self]

    @property
    def block_length(self) -> int:
        """Length of witness and challenge in bytes."""
        return 8 if self is ManagementKeyType.TDES else 16


class Capability(IntFlag):
    """Applications that a YubiKey can have, as bits of its configuration (Yubico's "Config Reference")."""

    OTP = 0x01
    U2F = 0x02
    CCID = 0x04
    OPENPGP = 0x08
    PIV = 0x10
    OATH = 0x20
    HSMAUTH = 0x100
    FIDO2 = 0x200


class FormFactor(IntEnum):
    """Shape of the key, as device information and attestation statements give it."""

    UNKNOWN = 0x00
    USB_A_KEYCHAIN = 0x01
    USB_A_NANO = 0x02
    USB_C_KEYCHAIN = 0x03
    USB_C_NANO = 0x04
    USB_C_LIGHTNING = 0x05


class AttestationShape(Enum):
    """How the chain above an attestation statement looks."""

    EARLY = "early"
    """Statement, f9 without basicConstraints, root; no serial number or form factor in the statement."""
    LEGACY = "legacy"
    """Statement, f9, root."""
    CURRENT = "current"
    """Statement, f9, PIV attestation authority, intermediate, root."""


class DeviceInformation(Enum):
    """What the management application reports about the device."""

    SHORT = "short"
    """Firmware 4: applications (one byte) and serial number, no more; only the USB mode can be written."""
    FULL = "full"
    """Firmware 5: everything on one page."""
    PAGED = "paged"
    """Firmware 5.7: a second page with part number, FIPS and restrictions."""


@dataclass(frozen=True)
class Firmware:
    """A firmware version and what comes with it.

    Attributes:
        version: Major, minor, patch.
        atr: Answer to reset over USB.
        reader_name: What a PC/SC service calls its reader, with all interfaces on.
        form_factor: Shape of the key that carries it.
        usb_supported: Applications over USB.
        nfc_supported: Applications over NFC; None when the key has no NFC.
        key_types: Key pairs that can be generated and imported.
        management_key_types: Management keys that can be set.
        default_management_key_type: Type of the management key from the factory.
        serial_command: The PIV application answers GET SERIAL (from 5.0.3).
        metadata: It answers GET METADATA (from 5.3.0).
        move_key: It can move and delete keys (from 5.7.0).
        attestation: Shape of the attestation chain.
        device_information: Shape of the device information.
    """

    version: tuple[int, int, int]
    atr: bytes
    reader_name: str
    form_factor: FormFactor
    usb_supported: Capability
    nfc_supported: Capability | None
    key_types: frozenset[KeyType]
    management_key_types: frozenset[ManagementKeyType]
    default_management_key_type: ManagementKeyType
    serial_command: bool
    metadata: bool
    move_key: bool
    attestation: AttestationShape
    device_information: DeviceInformation

    @property
    def name(self) -> str:
        """The version as people write it: ``5.7.4``."""
        return ".".join(str(part) for part in self.version)


_ATR_4 = bytes.fromhex("3BF81300008131FE15597562696B657934D4")
_ATR_5 = bytes.fromhex("3BFD1300008131FE158073C021C057597562694B657940")

# Manufacturer and product of the USB descriptor, as libccid puts them together.
_READER_4 = "Yubico Yubikey 4 OTP+U2F+CCID"
_READER_5 = "Yubico YubiKey OTP+FIDO+CCID"

_APPLICATIONS_4 = (
    Capability.OTP | Capability.U2F | Capability.CCID | Capability.OPENPGP | Capability.PIV | Capability.OATH
)
_APPLICATIONS_5 = _APPLICATIONS_4 | Capability.FIDO2
_APPLICATIONS_5_4 = _APPLICATIONS_5 | Capability.HSMAUTH

_KEYS = frozenset({KeyType.RSA1024, KeyType.RSA2048, KeyType.ECCP256, KeyType.ECCP384})
_KEYS_5_7 = _KEYS | {KeyType.RSA3072, KeyType.RSA4096, KeyType.ED25519, KeyType.X25519}

_PROFILES = (
    Firmware(
        version=(4, 3, 7),
        atr=_ATR_4,
        reader_name=_READER_4,
        form_factor=FormFactor.UNKNOWN,
        usb_supported=_APPLICATIONS_4,
        nfc_supported=None,
        key_types=_KEYS,
        management_key_types=frozenset({ManagementKeyType.TDES}),
        default_management_key_type=ManagementKeyType.TDES,
        serial_command=False,
        metadata=False,
        move_key=False,
        attestation=AttestationShape.EARLY,
        device_information=DeviceInformation.SHORT,
    ),
    Firmware(
        version=(5, 2, 7),
        atr=_ATR_5,
        reader_name=_READER_5,
        form_factor=FormFactor.USB_A_KEYCHAIN,
        usb_supported=_APPLICATIONS_5,
        nfc_supported=_APPLICATIONS_5,
        key_types=_KEYS,
        management_key_types=frozenset({ManagementKeyType.TDES}),
        default_management_key_type=ManagementKeyType.TDES,
        serial_command=True,
        metadata=False,
        move_key=False,
        attestation=AttestationShape.LEGACY,
        device_information=DeviceInformation.FULL,
    ),
    Firmware(
        version=(5, 4, 3),
        atr=_ATR_5,
        reader_name=_READER_5,
        form_factor=FormFactor.USB_C_NANO,
        usb_supported=_APPLICATIONS_5_4,
        nfc_supported=None,
        key_types=_KEYS,
        management_key_types=frozenset(ManagementKeyType),
        default_management_key_type=ManagementKeyType.TDES,
        serial_command=True,
        metadata=True,
        move_key=False,
        attestation=AttestationShape.LEGACY,
        device_information=DeviceInformation.FULL,
    ),
    Firmware(
        version=(5, 7, 4),
        atr=_ATR_5,
        reader_name=_READER_5,
        form_factor=FormFactor.USB_C_KEYCHAIN,
        usb_supported=_APPLICATIONS_5_4,
        nfc_supported=_APPLICATIONS_5_4,
        key_types=_KEYS_5_7,
        management_key_types=frozenset(ManagementKeyType),
        default_management_key_type=ManagementKeyType.AES192,
        serial_command=True,
        metadata=True,
        move_key=True,
        attestation=AttestationShape.CURRENT,
        device_information=DeviceInformation.PAGED,
    ),
)

FIRMWARE: Mapping[str, Firmware] = MappingProxyType({profile.name: profile for profile in _PROFILES})
"""The firmwares that can be emulated, by version: ``FIRMWARE["5.7.4"]``."""
