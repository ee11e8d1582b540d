# SPDX-License-Identifier: Apache-2.0
"""The ciphers put under tlslite-ng, judged by its own."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from tlslite.constants import CipherSuite
from tlslite.utils.cipherfactory import createAESGCM, createCHACHA20

from pivgate.yubikey.tls_ciphers import FastRecordLayer


@pytest.mark.parametrize(
    ("suite", "theirs"),
    [
        (CipherSuite.TLS_AES_128_GCM_SHA256, createAESGCM),
        (CipherSuite.TLS_AES_256_GCM_SHA384, createAESGCM),
        (CipherSuite.TLS_CHACHA20_POLY1305_SHA256, createCHACHA20),
        (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, createAESGCM),
        (CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, createCHACHA20),
    ],
)
def test_both_read_what_the_other_wrote(suite: int, theirs: Callable[[bytearray, list[str]], Any]) -> None:
    length, iv_length, make = FastRecordLayer._getCipherSettings(suite)
    assert (length, iv_length) == FastRecordLayer.__mro__[1]._getCipherSettings(suite)[:2]
    key, nonce, data = bytearray(os.urandom(length)), bytearray(os.urandom(12)), bytearray(b"header")
    ours, other = make(key, None), theirs(key, ["python"])
    assert (ours.name, ours.nonceLength, ours.tagLength) == (other.name, other.nonceLength, other.tagLength)
    for text in (bytearray(), bytearray(os.urandom(1000))):
        sealed = ours.seal(nonce, text, data)
        assert sealed == other.seal(nonce, bytearray(text), data)
        assert ours.open(nonce, sealed, data) == text
        sealed[-1] ^= 1
        assert ours.open(nonce, sealed, data) is None
        assert ours.open(nonce, sealed[:5], data) is None


def test_a_suite_that_was_not_offered_is_not_used() -> None:
    with pytest.raises(AssertionError, match="not offered"):
        FastRecordLayer._getCipherSettings(CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA)
