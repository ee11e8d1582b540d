# SPDX-License-Identifier: Apache-2.0
"""A key under provisioning: its open session, and what has been learnt of it and of its secrets so far."""

from cryptography import x509
from yubikit.core import TRANSPORT, InvalidPinError, NotSupportedError
from yubikit.core.smartcard import SmartCardConnection
from yubikit.management import DeviceInfo
from yubikit.piv import PivSession

from pivgate.errors import DeviceError
from pivgate.yubikey import management_key, pins
from pivgate.yubikey.plan import Enrolment, KeyFacts, Plan
from pivgate.yubikey.report import firmware_of, model_name
from pivgate.yubikey.session import open_piv, read_device_info
from pivgate.yubikey.sign import SlotSigner
from pivgate.yubikey.slot import PublicKey, SlotContents, read_slot, same_key, spki

_ENOUGH_TRIES = 3
"""With fewer tries left, only the user tries PINs."""


class Work:
    """One run of provisioning over one key. Nothing of it outlives the run.

    Args:
        connection: To the key.
        plan: What is wanted.
        enrolment: Registry and authority.
    """

    def __init__(self, connection: SmartCardConnection, plan: Plan, enrolment: Enrolment) -> None:
        self.plan = plan
        self.enrolment = enrolment
        self.connection = connection
        self.info: DeviceInfo = read_device_info(self.connection)
        self.facts = _facts(self.info)
        self.resume = enrolment.look_up(self.facts)
        self.certificate: x509.Certificate | None = self.resume.certificate
        self.active = self.resume.active
        self.proved = False
        self.registered = False
        self.notes: list[str] = []
        self._piv: PivSession | None = None
        self._slot: SlotContents | None = None
        self._made: PublicKey | None = None
        self._pin: str | None = None
        self._new_pin: str | None = None
        self._pin_is_factory: bool | None = None
        self._pin_is_verified = False
        self._management_key: management_key.Source | None = None
        self.puk_is_ours = False

    @property
    def transport(self) -> TRANSPORT:
        """How the key is connected."""
        return self.connection.transport

    @property
    def piv(self) -> PivSession:
        """The session with the PIV application, opened when first needed."""
        if self._piv is None:
            self._piv = open_piv(self.connection)
        return self._piv

    def configured(self) -> None:
        """Read anew what the key says of itself, after its configuration was written."""
        self.info = read_device_info(self.connection)
        self._piv = None

    # Slot 9a

    @property
    def slot(self) -> SlotContents:
        """What is in slot 9a."""
        if self._slot is None:
            self._slot = read_slot(self.piv)
        return self._slot

    def slot_changed(self, made: PublicKey | None = None) -> None:
        """Forget what was in slot 9a, after writing to it.

        Args:
            made: The key pair that was made in it, if any.
        """
        self._slot = None
        self._made = made or self._made

    @property
    def made_now(self) -> bool:
        """Whether the key in slot 9a was made in this run."""
        key = self.slot.key
        if self._made is None or key is None or key.public_key is None:
            return False
        return spki(self._made) == spki(key.public_key)

    @property
    def public_key(self) -> PublicKey:
        """The public key in slot 9a."""
        if self.slot.key is None or self.slot.key.public_key is None:
            raise DeviceError("Slot 9a lost its key", "Run the same command again.")
        return self.slot.key.public_key

    def signer(self) -> SlotSigner:
        """Return a signer for slot 9a, with the PIN verified."""
        self.verify_pin()
        return SlotSigner(self.piv, self.public_key)

    @property
    def was_certified(self) -> bool:
        """Whether the key carries something that was certified here.

        All secrets had been set by then, and a reset of PIV since would have deleted it.
        """
        known = self.resume.certificate
        return known is not None and (self.slot.certificate == known or same_key(known, self.slot.key))

    # PIN

    def pin_is_factory(self) -> bool:
        """Tell whether the factory's PIN is in force.

        Firmware below 5.3 has to be tried. That costs a try when it is not, which comes back with the next
        right PIN; when tries are missing already, the user is asked instead.

        Raises:
            SecretError: The PIN is blocked, or what the user gave is wrong.
        """
        if self._pin_is_factory is None:
            self._pin_is_factory = self._find_out_pin()
            if self._pin_is_factory:
                self._pin = pins.FACTORY_PIN
        return self._pin_is_factory

    def _find_out_pin(self) -> bool:
        try:
            metadata = self.piv.get_pin_metadata()
        except NotSupportedError:
            return not self.was_certified and self._try_factory_pin()
        if metadata.attempts_remaining == 0:
            raise pins.blocked("PIN")
        return metadata.default_value

    def _try_factory_pin(self) -> bool:
        if pins.pin_tries(self.piv) < _ENOUGH_TRIES:
            self.verify_pin()
            return self._pin == pins.FACTORY_PIN
        try:
            self.piv.verify_pin(pins.FACTORY_PIN)
        except InvalidPinError:
            return False
        self._pin_is_verified = True
        return True

    def new_pin(self) -> str:
        """Ask for the new PIN, once, and check the rules."""
        if self._new_pin is None:
            new_pin = self.plan.secrets.new_pin()
            pins.check_new_pin(new_pin)
            self._new_pin = new_pin
        return self._new_pin

    def pin_changed(self, pin: str) -> None:
        """Note a new PIN."""
        self._pin, self._pin_is_factory, self._pin_is_verified = pin, pin == pins.FACTORY_PIN, False

    def verify_pin(self) -> str:
        """Verify the PIN in this session, asking for it if need be, and return it.

        Raises:
            SecretError: It is wrong or blocked, or only one try is left.
        """
        if self._pin is None:
            tries = pins.pin_tries(self.piv)
            pins.check_tries("PIN", tries, use_last_try=self.plan.use_last_try)
            self._pin = self.plan.secrets.pin(tries)
        if not self._pin_is_verified:
            pins.verify_pin(self.piv, self._pin)
            self._pin_is_verified = True
        return self._pin

    # Management key

    def authenticate(self) -> management_key.Source:
        """Authenticate with the management key in this session and say which one it was.

        Raises:
            SecretError: Nobody knows it.
        """
        if self._management_key is None:
            self._management_key = management_key.authenticate(
                self.piv, verify_pin=self.verify_pin, ask=self.plan.secrets.management_key
            )
        return self._management_key

    def management_key_is_protected(self) -> bool:
        """Tell whether the management key is random and stored on the key."""
        # Where that takes trying the factory's key, failing ends an authentication made before.
        self._management_key = None
        return management_key.is_protected(self.piv)


def _facts(info: DeviceInfo) -> KeyFacts:
    if info.serial is None:
        raise DeviceError(
            "This YubiKey hides its serial number, by which it is told from others",
            "Make it visible with `ykman otp settings`, or use another key.",
        )
    return KeyFacts(info.serial, model_name(info), firmware_of(info), str(info.form_factor))
