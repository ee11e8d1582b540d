# SPDX-License-Identifier: Apache-2.0
"""The request that the key signs."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from yubikit.piv import PivSession

from pivgate.yubikey.algorithms import LeafAlgorithm
from pivgate.yubikey.csr import make_request
from pivgate.yubikey.slot import spki


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (LeafAlgorithm.P384, hashes.SHA384),
        (LeafAlgorithm.P256, hashes.SHA256),
        (LeafAlgorithm.RSA2048, hashes.SHA256),
        (LeafAlgorithm.ED25519, None),
    ],
)
def test_the_request_is_signed_by_the_key_in_it(make_bench, algorithm, expected):
    bench = make_bench("5.7.4")
    public_key = bench.provision(algorithm=algorithm).certificate.public_key()
    with bench.session() as connection:
        piv = PivSession(connection)
        piv.verify_pin(bench.pin)
        request = x509.load_der_x509_csr(make_request(piv, public_key, "alice"))
    assert request.is_signature_valid
    assert spki(request.public_key()) == spki(public_key)
    assert request.subject.rfc4514_string() == "CN=alice"
    assert type(request.signature_hash_algorithm) is (expected or type(None))
