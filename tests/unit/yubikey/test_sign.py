# SPDX-License-Identifier: Apache-2.0
"""Signatures by the slot, checked with cryptography."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from yubikit.core import InvalidPinError
from yubikit.piv import PivSession

from pivgate.errors import DeviceError, RefusedError, SecretError
from pivgate.yubikey.algorithms import LeafAlgorithm
from pivgate.yubikey.sign import SlotSigner, sign_challenge, verify_signature

MESSAGE = b"what is to be signed"


class Asked:
    def __init__(self, answer):
        self.answer = answer
        self.tries = []

    def __call__(self, tries):
        self.tries.append(tries)
        return self.answer


def provisioned(make_bench, firmware="5.7.4", algorithm=LeafAlgorithm.P384):
    bench = make_bench(firmware)
    return bench, bench.provision(algorithm=algorithm).certificate.public_key()


@pytest.mark.parametrize("algorithm", [LeafAlgorithm.P384, LeafAlgorithm.P256])
@pytest.mark.parametrize("hash_algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("prehashed", [False, True])
def test_ecdsa_with_every_hash(make_bench, algorithm, hash_algorithm, prehashed):
    bench, public_key = provisioned(make_bench, algorithm=algorithm)
    with bench.session() as connection:
        signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
        if prehashed:
            digest = hashes.Hash(hash_algorithm)
            digest.update(MESSAGE)
            signature = signer.sign(digest.finalize(), Prehashed(hash_algorithm))
        else:
            signature = signer.sign(MESSAGE, hash_algorithm)
    public_key.verify(signature, MESSAGE, ec.ECDSA(hash_algorithm))


@pytest.mark.parametrize(
    "rsa_padding",
    [None, padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), 32)],
    ids=["default", "PKCS #1 v1.5", "PSS"],
)
def test_rsa_with_both_paddings(make_bench, rsa_padding):
    bench, public_key = provisioned(make_bench, "5.4.3", LeafAlgorithm.RSA2048)
    with bench.session() as connection:
        signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
        signature = signer.sign(MESSAGE, hashes.SHA256(), rsa_padding)
    public_key.verify(signature, MESSAGE, rsa_padding or padding.PKCS1v15(), hashes.SHA256())


def test_ed25519(make_bench):
    bench, public_key = provisioned(make_bench, algorithm=LeafAlgorithm.ED25519)
    with bench.session() as connection:
        signature = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin)).sign(MESSAGE)
    public_key.verify(signature, MESSAGE)


def test_the_pin_is_asked_once_with_the_tries_left(bench):
    public_key = bench.provision().certificate.public_key()
    asked = Asked(bench.pin)
    with bench.session() as connection:
        signer = SlotSigner(PivSession(connection), public_key, ask_pin=asked)
        verify_signature(public_key, signer.sign(MESSAGE), MESSAGE)
        verify_signature(public_key, signer.sign(MESSAGE), MESSAGE)
    assert asked.tries == [3]


def test_a_wrong_pin(bench):
    public_key = bench.provision().certificate.public_key()
    with bench.session() as connection, pytest.raises(SecretError, match="2 tries are left"):
        SlotSigner(PivSession(connection), public_key, ask_pin=Asked("00000000")).sign(MESSAGE)


def test_the_last_try_is_used_only_on_demand(bench):
    public_key = bench.provision().certificate.public_key()
    for _ in range(2):
        with bench.session() as connection, pytest.raises(InvalidPinError):
            PivSession(connection).verify_pin("00000000")
    asked = Asked(bench.pin)
    with bench.session() as connection, pytest.raises(SecretError, match="one try"):
        SlotSigner(PivSession(connection), public_key, ask_pin=asked).sign(MESSAGE)
    assert asked.tries == []
    assert bench.tries()[0] == 1
    with bench.session() as connection:
        SlotSigner(PivSession(connection), public_key, ask_pin=asked, use_last_try=True).sign(MESSAGE)


def test_without_anybody_to_ask_for_the_pin(bench):
    public_key = bench.provision().certificate.public_key()
    with bench.session() as connection, pytest.raises(DeviceError, match="PIN was not verified"):
        SlotSigner(PivSession(connection), public_key).sign(MESSAGE)


def test_pulled_out_while_signing(bench):
    public_key = bench.provision().certificate.public_key()
    connection = bench.session()
    signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
    bench.key.remove()
    with pytest.raises(DeviceError, match="pulled out") as caught:
        signer.sign(MESSAGE)
    assert "Plug it in" in caught.value.hint


def test_a_challenge_is_fresh_and_checked(bench):
    public_key = bench.provision().certificate.public_key()
    drawn = []

    def randomness(length):
        drawn.append(length)
        return bytes(length)

    with bench.session() as connection:
        signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
        sign_challenge(signer, public_key, randomness)
        assert drawn == [32]
        other = ec.generate_private_key(ec.SECP256R1()).public_key()
        with pytest.raises(RefusedError, match="does not belong"):
            sign_challenge(signer, other, randomness)


def test_a_signature_over_something_else_is_none(make_bench):
    for algorithm in (LeafAlgorithm.P256, LeafAlgorithm.RSA2048, LeafAlgorithm.ED25519):
        bench, public_key = provisioned(make_bench, algorithm=algorithm)
        with bench.session() as connection:
            signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
            signature = signer.sign(MESSAGE)
        verify_signature(public_key, signature, MESSAGE)
        with pytest.raises(InvalidSignature):
            verify_signature(public_key, signature, MESSAGE + b"!")


def test_a_short_digest_is_sent_in_the_length_of_the_curve(make_bench):
    """What firmware makes of a shorter one is nowhere written."""
    bench, public_key = provisioned(make_bench)
    sent = []
    bench.device.hook = lambda _moment, apdu: sent.append(apdu)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    with bench.session() as connection:
        signer = SlotSigner(PivSession(connection), public_key, ask_pin=Asked(bench.pin))
        signer.sign(MESSAGE, hashes.SHA256())
    assert sent[-1].endswith(b"\x81\x30" + bytes(16) + digest.finalize())
