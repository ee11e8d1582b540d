# SPDX-License-Identifier: Apache-2.0
"""The key in this machine as what signs handshakes: one signature at a time, the PIN asked for once."""

import threading
import time
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from yubikit.core.smartcard import SmartCardConnection
from yubikit.piv import TOUCH_POLICY

from pivgate.errors import DeviceError, RefusedError, SecretError
from pivgate.yubikey.find import Device
from pivgate.yubikey.session import open_piv, spoken_errors
from pivgate.yubikey.sign import SlotSigner
from pivgate.yubikey.slot import read_slot, signing_key
from pivgate.yubikey.tls_key import Login

# Another program may be at the key for the moment of a signature of its own.
_PATIENCE = 3.0
_PAUSE = 0.1


class CardKey:
    """Signs handshakes with the key in slot 9a.

    The card is opened for each signature and given back, so that other programs can use it between; the PIN
    is kept in memory for the next one, since the card forgets that it was given.

    Args:
        device: The YubiKey.
        ask_pin: Asked, with the tries left, when the key demands the PIN.
        on_touch: Called before a signature that wants a finger on the key.
        use_last_try: Whether the PIN may be tried when only one try is left.

    Attributes:
        certificate: The certificate in slot 9a.
        signatures: How many were made.
        seconds: How long they took together, without the time in which the PIN was typed.

    Raises:
        RefusedError: There is no certificate in slot 9a.
        DeviceError: The key cannot be used.
    """

    def __init__(
        self,
        device: Device,
        *,
        ask_pin: Callable[[int], str],
        on_touch: Callable[[], None] = lambda: None,
        use_last_try: bool = False,
    ) -> None:
        self.device = device
        self.signatures = 0
        self.seconds = 0.0
        self._ask_pin = ask_pin
        self._on_touch = on_touch
        self._use_last_try = use_last_try
        self._pin: str | None = None
        self._asking = 0.0
        self._lock = threading.Lock()
        with spoken_errors(), self._open() as connection:
            slot = read_slot(open_piv(connection))
        self.certificate = _usable(slot.certificate, unreadable=slot.unreadable)
        self._blinks = slot.key is not None and slot.key.touch_policy not in (
            TOUCH_POLICY.NEVER,
            TOUCH_POLICY.DEFAULT,
        )

    @property
    def login(self) -> Login:
        """What a TLS connection needs of this key."""
        return Login(self.certificate, self)

    def sign(
        self,
        message: bytes,
        hash_algorithm: hashes.HashAlgorithm | Prehashed | None,
        rsa_padding: padding.AsymmetricPadding | None,
    ) -> bytes:
        """Sign on the key.

        Raises:
            SecretError: The PIN is wrong, blocked or cannot be asked; it is forgotten.
            DeviceError: The key was pulled out, not touched, or refused.
        """
        with self._lock:
            self._asking, started = 0.0, time.perf_counter()
            if self._blinks:
                self._on_touch()
            try:
                with spoken_errors(), self._open() as connection:
                    signer = SlotSigner(
                        open_piv(connection),
                        signing_key(self.certificate.public_key()),  # type: ignore[arg-type] # checked before
                        ask_pin=self._remembered_pin,
                        use_last_try=self._use_last_try,
                    )
                    signature = signer.sign(message, hash_algorithm, rsa_padding)
            except SecretError:
                self._pin = None
                raise
            self.seconds += time.perf_counter() - started - self._asking
            self.signatures += 1
            return signature

    def _remembered_pin(self, tries: int) -> str:
        if self._pin is None:
            started = time.perf_counter()
            self._pin = self._ask_pin(tries)
            self._asking += time.perf_counter() - started
        return self._pin

    def _open(self) -> SmartCardConnection:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.device.open()
            except DeviceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)


def _usable(certificate: x509.Certificate | None, *, unreadable: bool) -> x509.Certificate:
    if unreadable:
        raise RefusedError(
            "What slot 9a of this YubiKey holds is not a certificate",
            "Provision the key: `pivgate key provision --user … --replace`.",
        )
    if certificate is None:
        raise RefusedError(
            "Slot 9a of this YubiKey holds no certificate, so it cannot log in anywhere",
            "Provision the key: `pivgate key provision --user …`.",
        )
    if signing_key(certificate.public_key()) is None:
        raise RefusedError(
            "The certificate in slot 9a is for a key that cannot sign", "Provision the key with --replace."
        )
    return certificate
