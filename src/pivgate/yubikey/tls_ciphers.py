# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's ciphers for tlslite-ng, whose own are written in Python.

Its AES-GCM makes some 0.2 MB/s and says of itself that it is not safe against timing; OpenSSL's, from
``cryptography``, is neither. Only these suites are offered: AEAD, and all of TLS 1.3's that matter (RFC 8446,
section 9.1).
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import aead
from tlslite.constants import CipherSuite
from tlslite.recordlayer import RecordLayer

CIPHER_NAMES = ("aes256gcm", "aes128gcm", "chacha20-poly1305")
"""As tlslite-ng calls them."""


class _Cipher:
    """One direction's cipher, with the face of tlslite-ng's own."""

    isBlockCipher = False  # noqa: N815 - tlslite's name
    isAEAD = True  # noqa: N815 - tlslite's name
    nonceLength = 12  # noqa: N815 - tlslite's name
    tagLength = 16  # noqa: N815 - tlslite's name
    implementation = "cryptography"

    def __init__(self, name: str, cipher: aead.AESGCM | aead.ChaCha20Poly1305) -> None:
        self.name = name
        self._cipher = cipher

    def seal(self, nonce: bytes, plaintext: bytes, data: bytes) -> bytearray:
        """Encrypt, and add the tag."""
        return bytearray(self._cipher.encrypt(bytes(nonce), bytes(plaintext), bytes(data)))

    def open(self, nonce: bytes, ciphertext: bytes, data: bytes) -> bytearray | None:
        """Decrypt; None, which tlslite-ng answers with an alert, when the tag is wrong."""
        try:
            return bytearray(self._cipher.decrypt(bytes(nonce), bytes(ciphertext), bytes(data)))
        except InvalidTag:
            return None


def _aes_gcm(key: bytes, _implementations: object) -> _Cipher:
    return _Cipher(f"aes{len(key) * 8}gcm", aead.AESGCM(bytes(key)))


def _chacha20_poly1305(key: bytes, _implementations: object) -> _Cipher:
    return _Cipher("chacha20-poly1305", aead.ChaCha20Poly1305(bytes(key)))


class FastRecordLayer(RecordLayer):  # type: ignore[misc] # tlslite has no types
    """A record layer with these ciphers; two threads may send through it, each record stays whole."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sending = threading.Lock()

    @staticmethod
    def _getCipherSettings(suite: int) -> tuple[int, int, Callable[[bytes, object], _Cipher]]:  # noqa: N802
        if suite in CipherSuite.aes256GcmSuites:
            return 32, 4, _aes_gcm
        if suite in CipherSuite.aes128GcmSuites:
            return 16, 4, _aes_gcm
        if suite in CipherSuite.chacha20Suites:
            return 32, 12, _chacha20_poly1305
        raise AssertionError(f"cipher suite {suite:#x} was not offered")

    def sendRecord(self, msg: Any) -> Iterator[int]:  # noqa: N802 - tlslite's name
        """Send one record."""
        with self._sending:
            yield from super().sendRecord(msg)
