# SPDX-License-Identifier: Apache-2.0
"""For ``ykman script``: fill every slot, use, attest, describe and empty each; fail at what is not right."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from ykman.scripting import single
from yubikit.core import NotSupportedError, Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    PivSession,
)

PIN = "123456"
MESSAGE = b"a message"
USER_SLOTS = [slot for slot in SLOT if slot is not SLOT.ATTESTATION]
# The PIN a slot wants by itself (Yubico, "PIN and touch policies").
OF_SLOT = {SLOT.SIGNATURE: PIN_POLICY.ALWAYS, SLOT.CARD_AUTH: PIN_POLICY.NEVER}
ALL = frozenset(KEY_TYPE)
BEFORE_5_7 = frozenset({KEY_TYPE.RSA1024, KEY_TYPE.RSA2048, KEY_TYPE.ECCP256, KEY_TYPE.ECCP384})
GENERATE, ATTEST, AUTHENTICATE = 0x47, 0xF9, 0x87
# SP 800-73-4 part 2 table 1; yubikit has no name for it.
INCORRECT_P1_P2 = 0x6A86


def refused(status: int, act: Callable[..., Any], *arguments: Any) -> None:
    """Do what must be refused with a status word."""
    try:
        act(*arguments)
    except ApduError as error:
        if error.sw != status:
            raise
    else:
        raise AssertionError(f"{act} was not refused with {status:04X}")


def sign(piv: PivSession, slot: SLOT, key_type: KEY_TYPE = KEY_TYPE.ECCP256) -> bytes:
    """Sign the message."""
    return bytes(piv.sign(slot, key_type, MESSAGE, hashes.SHA256()))


def fill(piv: PivSession) -> dict[SLOT, Any]:
    """Make a key pair in every slot, and a certificate that is another in each."""
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    return {slot: piv.generate_key(slot, KEY_TYPE.ECCP256) for slot in USER_SLOTS}


def use(piv: PivSession, keys: dict[SLOT, Any]) -> None:
    """Sign in every slot, without the PIN and with it, twice."""
    for slot in USER_SLOTS:
        if slot is not SLOT.CARD_AUTH:
            refused(SW.SECURITY_CONDITION_NOT_SATISFIED, sign, piv, slot)
        refused(SW.INCORRECT_PARAMETERS, sign, piv, SLOT.CARD_AUTH, KEY_TYPE.ECCP384)
    for slot in USER_SLOTS:
        piv.verify_pin(PIN)
        keys[slot].verify(sign(piv, slot), MESSAGE, ec.ECDSA(hashes.SHA256()))
        if slot is SLOT.SIGNATURE:
            refused(SW.SECURITY_CONDITION_NOT_SATISFIED, sign, piv, slot)
        else:
            keys[slot].verify(sign(piv, slot), MESSAGE, ec.ECDSA(hashes.SHA256()))


def attest(piv: PivSession, keys: dict[SLOT, Any]) -> None:
    """Every statement is about its slot and key, signed by the one key that is only for that."""
    attester: Any = piv.get_certificate(SLOT.ATTESTATION).public_key()
    for slot in USER_SLOTS:
        statement = piv.attest_key(slot)
        (name,) = statement.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert name.value == f"YubiKey PIV Attestation {slot:02x}", name
        assert statement.public_key() == keys[slot], slot
        statement.verify_directly_issued_by(piv.get_certificate(SLOT.ATTESTATION))
    refused(INCORRECT_P1_P2, piv.protocol.send_apdu, 0, ATTEST, SLOT.ATTESTATION, 0)
    template = Tlv(0x7C, Tlv(0x82) + Tlv(0x81, bytes(attester.key_size // 8)))
    refused(
        INCORRECT_P1_P2,
        piv.protocol.send_apdu, 0, AUTHENTICATE, KEY_TYPE.RSA2048, SLOT.ATTESTATION, template,
    )  # fmt: skip


def describe(piv: PivSession, keys: dict[SLOT, Any]) -> None:
    """Metadata, where the firmware has it."""
    for slot in USER_SLOTS:
        try:
            facts = piv.get_slot_metadata(slot)
        except NotSupportedError:
            assert piv.version < (5, 3, 0)
            return
        assert facts.public_key == keys[slot], slot
        assert facts.generated
        assert facts.pin_policy is OF_SLOT.get(slot, PIN_POLICY.ONCE), slot
        assert facts.touch_policy is TOUCH_POLICY.NEVER, slot


def keep_certificates(piv: PivSession) -> None:
    """Every slot's certificate is its own object."""
    statements = {slot: piv.attest_key(slot) for slot in USER_SLOTS}
    for slot, statement in statements.items():
        piv.put_certificate(slot, statement)
    for slot, statement in statements.items():
        assert piv.get_certificate(slot) == statement, slot
        piv.delete_certificate(slot)
        refused(SW.FILE_NOT_FOUND, piv.get_object, OBJECT_ID.from_slot(slot))


def replace(piv: PivSession) -> None:
    """What is brought from outside takes the place of what was there, and is not attested."""
    private_key = ec.generate_private_key(ec.SECP384R1())
    for slot in USER_SLOTS:
        piv.put_key(slot, private_key, PIN_POLICY.NEVER)
        signature = sign(piv, slot, KEY_TYPE.ECCP384)
        private_key.public_key().verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
        try:
            piv.attest_key(slot)
        except ApduError:
            continue
        raise AssertionError(f"{slot} was attested")


def refuse_other_algorithms(piv: PivSession) -> None:
    """The card itself knows which algorithms it has; yubikit would not even ask it for others."""
    # Of 5.7 a number that stands for nothing; of the others what came later.
    for number in [0x15] if piv.version >= (5, 7, 0) else ALL - BEFORE_5_7:
        template = Tlv(0xAC, Tlv(0x80, bytes([number])))
        refused(SW.INCORRECT_PARAMETERS, piv.protocol.send_apdu, 0, GENERATE, 0, SLOT.RETIRED1, template)
    for slot in (0x80, 0x81, 0x96, 0x9B, 0x00, 0x04, 0xFF):
        template = Tlv(0xAC, Tlv(0x80, bytes([KEY_TYPE.ECCP256])))
        refused(INCORRECT_P1_P2, piv.protocol.send_apdu, 0, GENERATE, 0, slot, template)


def empty(piv: PivSession) -> None:
    """From 5.7: one key wanders through every slot and is deleted in the last; the others before."""
    if piv.version < (5, 7, 0):
        return
    for slot in USER_SLOTS[1:]:
        piv.delete_key(slot)
        refused(SW.REFERENCE_DATA_NOT_FOUND, piv.get_slot_metadata, slot)
    for source, destination in itertools.pairwise(USER_SLOTS):
        piv.move_key(source, destination)
        refused(SW.REFERENCE_DATA_NOT_FOUND, piv.get_slot_metadata, source)
        sign(piv, destination, KEY_TYPE.ECCP384)
    piv.delete_key(USER_SLOTS[-1])
    refused(SW.INCORRECT_PARAMETERS, sign, piv, USER_SLOTS[-1])


if __name__ == "__main__":
    raise SystemExit("Run it with: ykman script every_slot.py")

assert len(USER_SLOTS) == 24
with single(prompt=False).smart_card() as connection:
    session = PivSession(connection)
    made = fill(session)
    use(session, made)
    attest(session, made)
    describe(session, made)
    keep_certificates(session)
    replace(session)
    refuse_other_algorithms(session)
    empty(session)
sys.stdout.write(f"{len(made)} slots\n")
