# SPDX-License-Identifier: Apache-2.0
"""Yubico's own library as the judge: yubikit and ykman cannot tell this applet from a real one."""

import os
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ykman import piv as ykman_piv
from yubikit.core import InvalidPinError, NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    Chuid,
    PivSession,
)

from pivgate.emulator.connection import EmulatedDevice
from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

SERIAL = 20_304_050
PIN, PUK = "123456", "12345678"
VERSIONS = ["4.3.7", "5.2.7", "5.4.3", "5.7.4"]
SHORT_KEYS = [KEY_TYPE.RSA1024, KEY_TYPE.RSA2048, KEY_TYPE.ECCP256, KEY_TYPE.ECCP384]
NEW_KEYS = [KEY_TYPE.RSA3072, KEY_TYPE.ED25519, KEY_TYPE.X25519]
KNOWN = [(version, key_type) for version in VERSIONS for key_type in SHORT_KEYS]
KNOWN += [("5.7.4", key_type) for key_type in NEW_KEYS]
UNKNOWN = [(version, key_type) for version in VERSIONS[:-1] for key_type in [*NEW_KEYS, KEY_TYPE.RSA4096]]
MANAGEMENT_KNOWN = [(version, MANAGEMENT_KEY_TYPE.TDES) for version in VERSIONS]
MANAGEMENT_KNOWN += [(version, kind) for version in VERSIONS[2:] for kind in list(MANAGEMENT_KEY_TYPE)[1:]]


class Bench:
    """An emulated key, and sessions with it."""

    def __init__(self, version: str) -> None:
        self.yubikey = EmulatedYubiKey(FIRMWARE[version], SERIAL)
        self.device = EmulatedDevice(self.yubikey)
        self.connection = self.device.open()

    def session(self, *, manage: bool = False, pin: bool = False) -> PivSession:
        """Begin a session as a new program would."""
        self.connection.close()
        self.yubikey.card.reset()
        self.connection = self.device.open()
        session = PivSession(self.connection)
        if manage:
            session.authenticate(DEFAULT_MANAGEMENT_KEY)
        if pin:
            session.verify_pin(PIN)
        return session


@pytest.fixture(params=sorted(FIRMWARE))
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


@pytest.fixture
def newest() -> Bench:
    return Bench("5.7.4")


def spki(public_key) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def verify(public_key, signature: bytes, message: bytes) -> None:
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    else:
        public_key.verify(signature, message)


def refused(status: int):
    return pytest.raises(ApduError, match=f"0x{status:04x}")


def test_session_knows_version_serial_and_management_key(bench):
    session = bench.session()
    assert tuple(session.version) == bench.yubikey.firmware.version
    assert session.management_key_type.name == bench.yubikey.firmware.default_management_key_type.name
    if session.version >= (5, 0, 3):
        assert session.get_serial() == SERIAL


@pytest.mark.parametrize(("version", "key_type"), UNKNOWN)
def test_unknown_key_is_refused_by_yubikit_and_by_the_card(version, key_type):
    session = Bench(version).session(manage=True)
    with pytest.raises(NotSupportedError):
        session.generate_key(SLOT.AUTHENTICATION, key_type)
    with refused(SW.INCORRECT_PARAMETERS):
        session.protocol.send_apdu(0, 0x47, 0, 0x9A, bytes([0xAC, 3, 0x80, 1, key_type]))


@pytest.mark.parametrize(
    ("version", "key_type"), [pair for pair in KNOWN if pair[1] not in (KEY_TYPE.X25519, KEY_TYPE.RSA3072)]
)
def test_generated_key_signs(version, key_type):
    bench = Bench(version)
    session = bench.session(manage=True)
    public_key = session.generate_key(SLOT.AUTHENTICATION, key_type)
    session = bench.session()
    with refused(SW.SECURITY_CONDITION_NOT_SATISFIED):
        session.sign(SLOT.AUTHENTICATION, key_type, b"message", hashes.SHA256(), padding.PKCS1v15())
    session.verify_pin(PIN)
    signature = session.sign(SLOT.AUTHENTICATION, key_type, b"message", hashes.SHA256(), padding.PKCS1v15())
    verify(public_key, signature, b"message")


@pytest.mark.parametrize("key_type", [KEY_TYPE.RSA3072, KEY_TYPE.RSA4096])
def test_imported_long_rsa_key_signs(newest, key_type):
    key = rsa.generate_private_key(65537, key_type.bit_len)
    newest.session(manage=True).put_key(SLOT.AUTHENTICATION, key)
    session = newest.session(pin=True)
    signature = session.sign(SLOT.AUTHENTICATION, key_type, b"message", hashes.SHA256(), padding.PKCS1v15())
    verify(key.public_key(), signature, b"message")


def test_long_rsa_key_is_generated(newest):
    public_key = newest.session(manage=True).generate_key(SLOT.AUTHENTICATION, KEY_TYPE.RSA3072)
    assert public_key.key_size == 3072


def test_rsa_signs_with_pss_and_decrypts_oaep(newest):
    public_key = newest.session(manage=True).generate_key(SLOT.KEY_MANAGEMENT, KEY_TYPE.RSA2048)
    session = newest.session(pin=True)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = session.sign(SLOT.KEY_MANAGEMENT, KEY_TYPE.RSA2048, b"message", hashes.SHA256(), pss)
    public_key.verify(signature, b"message", pss, hashes.SHA256())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    assert session.decrypt(SLOT.KEY_MANAGEMENT, public_key.encrypt(b"secret", oaep), oaep) == b"secret"


@pytest.mark.parametrize(
    ("version", "key_type"),
    [pair for pair in KNOWN if pair[1] in (KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.X25519)],
)
def test_agreement(version, key_type):
    bench = Bench(version)
    card = bench.session(manage=True).generate_key(SLOT.KEY_MANAGEMENT, key_type)
    session = bench.session(pin=True)
    if key_type == KEY_TYPE.X25519:
        ours = x25519.X25519PrivateKey.generate()
        expected = ours.exchange(card)
    else:
        ours = ec.generate_private_key(card.curve)
        expected = ours.exchange(ec.ECDH(), card)
    assert session.calculate_secret(SLOT.KEY_MANAGEMENT, ours.public_key()) == expected


OUTSIDE = {
    KEY_TYPE.RSA2048: rsa.generate_private_key(65537, 2048),
    KEY_TYPE.ECCP256: ec.generate_private_key(ec.SECP256R1()),
    KEY_TYPE.ECCP384: ec.generate_private_key(ec.SECP384R1()),
    KEY_TYPE.ED25519: ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize(("version", "key_type"), [pair for pair in KNOWN if pair[1] in OUTSIDE])
def test_imported_key_signs_and_is_known_as_imported(version, key_type):
    bench, key = Bench(version), OUTSIDE[key_type]
    session = bench.session(manage=True)
    assert session.put_key(SLOT.RETIRED1, key, PIN_POLICY.NEVER, TOUCH_POLICY.CACHED) == key_type
    message = b"message"
    signature = session.sign(SLOT.RETIRED1, key_type, message, hashes.SHA256(), padding.PKCS1v15())
    verify(key.public_key(), signature, message)
    with refused(SW.FILE_NOT_FOUND):
        session.attest_key(SLOT.RETIRED1)
    if session.version >= (5, 3, 0):
        metadata = session.get_slot_metadata(SLOT.RETIRED1)
        assert (metadata.pin_policy, metadata.touch_policy) == (PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)
        assert not metadata.generated
        assert spki(metadata.public_key) == spki(key.public_key())


@pytest.mark.parametrize(("version", "key_type"), KNOWN)
def test_attestation_chain_verifies_signature_by_signature(version, key_type):
    bench = Bench(version)
    session = bench.session(manage=True)
    public_key = session.generate_key(SLOT.SIGNATURE, key_type, PIN_POLICY.ONCE, TOUCH_POLICY.CACHED)
    session = bench.session()
    statement = session.attest_key(SLOT.SIGNATURE)
    device = session.get_certificate(SLOT.ATTESTATION)
    assert spki(statement.public_key()) == spki(public_key)
    assert statement.subject.rfc4514_string() == "CN=YubiKey PIV Attestation 9c"
    statement.verify_directly_issued_by(device)
    above = device
    for certificate in bench.yubikey.attestation.chain:
        above.verify_directly_issued_by(certificate)
        above = certificate
    above.verify_directly_issued_by(above)
    values = {extension.oid.dotted_string: extension.value for extension in statement.extensions}
    yubico = "1.3.6.1.4.1.41482.3."
    assert values[yubico + "3"].value == bytes(bench.yubikey.firmware.version)
    assert values[yubico + "8"].value == bytes([2, 3])
    if session.version >= (5, 0, 0):
        assert values[yubico + "7"].value == b"\x02\x04" + SERIAL.to_bytes(4, "big")


def test_certificates_and_objects(bench):
    session = bench.session(manage=True)
    public_key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.verify_pin(PIN)
    certificate = _self_signed(session, public_key)
    for compress in (False, True):
        session.put_certificate(SLOT.AUTHENTICATION, certificate, compress)
        assert bench.session().get_certificate(SLOT.AUTHENTICATION) == certificate
        session = bench.session(manage=True)
    chuid = ykman_piv.generate_chuid()
    session.put_object(OBJECT_ID.CHUID, chuid)
    session.put_object(OBJECT_ID.CAPABILITY, ykman_piv.generate_ccc())
    assert bytes(Chuid.from_bytes(session.get_object(OBJECT_ID.CHUID))) == chuid
    session.delete_certificate(SLOT.AUTHENTICATION)
    with refused(SW.FILE_NOT_FOUND):
        session.get_certificate(SLOT.AUTHENTICATION)
    assert ykman_piv.get_piv_info(session)


def _self_signed(session: PivSession, public_key) -> x509.Certificate:
    name = x509.Name.from_rfc4514_string("CN=alice")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    )
    certificate = ykman_piv.sign_certificate_builder(session, SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, builder)
    certificate.verify_directly_issued_by(certificate)
    return certificate


def test_ykman_makes_a_request_and_checks_the_key(bench):
    session = bench.session(manage=True)
    public_key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP384)
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    session = bench.session(pin=True)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = ykman_piv.sign_csr_builder(session, SLOT.AUTHENTICATION, public_key, builder, hashes.SHA384)
    assert request.is_signature_valid
    assert ykman_piv.check_key(session, SLOT.AUTHENTICATION, public_key)
    assert not ykman_piv.check_key(session, SLOT.AUTHENTICATION, other)
    assert not ykman_piv.check_key(session, SLOT.SIGNATURE, public_key)


@pytest.mark.parametrize("version", VERSIONS[:2])
@pytest.mark.parametrize("key_type", list(MANAGEMENT_KEY_TYPE)[1:])
def test_older_firmware_has_no_aes_management_key(version, key_type):
    session = Bench(version).session(manage=True)
    with pytest.raises(NotSupportedError):
        session.set_management_key(key_type, bytes(key_type.key_len))


@pytest.mark.parametrize(("version", "key_type"), MANAGEMENT_KNOWN)
def test_management_keys(version, key_type):
    bench, key = Bench(version), os.urandom(key_type.key_len)
    session = bench.session()
    with refused(SW.SECURITY_CONDITION_NOT_SATISFIED):
        session.authenticate(os.urandom(24))
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.set_management_key(key_type, key, require_touch=True)
    session = bench.session()
    if session.version >= (5, 3, 0):
        metadata = session.get_management_key_metadata()
        assert (metadata.key_type, metadata.default_value) == (key_type, False)
        assert metadata.touch_policy == TOUCH_POLICY.ALWAYS
    session.authenticate(key)
    session.put_object(OBJECT_ID.CHUID, b"managed")


def test_pin_protected_management_key_as_ykman_keeps_it(bench):
    session = bench.session(manage=True, pin=True)
    key_type = session.management_key_type
    key = os.urandom(24)
    ykman_piv.pivman_set_mgm_key(session, key, key_type, store_on_device=True)
    session = bench.session()
    assert ykman_piv.get_pivman_data(session).has_stored_key
    with refused(SW.SECURITY_CONDITION_NOT_SATISFIED):
        ykman_piv.get_pivman_protected_data(session)
    session.verify_pin(PIN)
    assert ykman_piv.get_pivman_protected_data(session).key == key
    session.authenticate(key)
    ykman_piv.pivman_set_pin_attempts(session, 8, 4)
    session = bench.session()
    assert session.get_pin_attempts() == 8


def test_pin_and_puk(bench):
    session = bench.session()
    assert session.get_pin_attempts() == 3
    with pytest.raises(InvalidPinError) as caught:
        session.verify_pin("654321")
    assert caught.value.attempts_remaining == 2
    session.change_pin(PIN, "654321")
    session.verify_pin("654321")
    with pytest.raises(InvalidPinError) as caught:
        session.change_puk("11111111", "87654321")
    assert caught.value.attempts_remaining == 2
    session.change_puk(PUK, "87654321")
    for left in (2, 1, 0, 0):
        with pytest.raises(InvalidPinError) as caught:
            session.verify_pin("000000")
        assert caught.value.attempts_remaining == left
    with pytest.raises(InvalidPinError) as caught:
        session.verify_pin("654321")
    assert caught.value.attempts_remaining == 0
    session.unblock_pin("87654321", "101010")
    session.verify_pin("101010")
    with refused(SW.CONDITIONS_NOT_SATISFIED):
        session.change_pin("101010", "12345")
    if session.version >= (5, 3, 0):
        assert not session.get_pin_metadata().default_value
        assert session.get_puk_metadata().attempts_remaining == 3


def test_reset(bench):
    session = bench.session(manage=True)
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.put_object(OBJECT_ID.CHUID, b"chuid")
    key_type = MANAGEMENT_KEY_TYPE(max(bench.yubikey.firmware.management_key_types))
    session.set_management_key(key_type, os.urandom(key_type.key_len))
    session.reset()
    assert session.management_key_type.name == bench.yubikey.firmware.default_management_key_type.name
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.verify_pin(PIN)
    with refused(SW.FILE_NOT_FOUND):
        session.get_object(OBJECT_ID.CHUID)
    with refused(SW.INCORRECT_PARAMETERS):
        session.sign(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, b"x", hashes.SHA256())


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_older_firmware_moves_nothing(version):
    session = Bench(version).session(manage=True)
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    with pytest.raises(NotSupportedError):
        session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED20)


def test_move_and_delete(newest):
    session = newest.session(manage=True)
    public_key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    before = session.get_slot_metadata(SLOT.AUTHENTICATION)
    session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED20)
    assert session.get_slot_metadata(SLOT.RETIRED20) == before
    with refused(SW.REFERENCE_DATA_NOT_FOUND):
        session.get_slot_metadata(SLOT.AUTHENTICATION)
    session.verify_pin(PIN)
    assert ykman_piv.check_key(session, SLOT.RETIRED20, public_key)
    session.delete_key(SLOT.RETIRED20)
    with refused(SW.REFERENCE_DATA_NOT_FOUND):
        session.get_slot_metadata(SLOT.RETIRED20)


def test_no_fingerprints(bench):
    session = bench.session(manage=True)
    with pytest.raises(NotSupportedError):
        session.get_bio_metadata()
    with pytest.raises(NotSupportedError):
        session.verify_uv()
    with pytest.raises(NotSupportedError):
        session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.MATCH_ONCE)


def test_every_slot_is_listed(bench):
    session = bench.session(manage=True)
    for slot in SLOT:
        if slot != SLOT.ATTESTATION:
            session.generate_key(slot, KEY_TYPE.ECCP256)
    info = ykman_piv.get_piv_info(session)
    if session.version >= (5, 3, 0):
        assert len([name for name in info[-1] if name.startswith("Slot")]) == 24
