# SPDX-License-Identifier: Apache-2.0
"""The algorithms of key pairs, in ykman's words and in openssl's."""

import subprocess
from functools import cache

ALGORITHMS = {
    "RSA1024": ("(1024 bit)", "-algorithm RSA -pkeyopt rsa_keygen_bits:1024"),
    "RSA2048": ("(2048 bit)", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    "ECCP256": ("prime256v1", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    "ECCP384": ("secp384r1", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    "RSA3072": ("(3072 bit)", "-algorithm RSA -pkeyopt rsa_keygen_bits:3072"),
    "RSA4096": ("(4096 bit)", "-algorithm RSA -pkeyopt rsa_keygen_bits:4096"),
    "ED25519": ("ED25519", "-algorithm ED25519"),
    "X25519": ("X25519", "-algorithm X25519"),
}
"""What openssl says of such a public key, and how it makes a private one."""

ONLY_5_7 = ("RSA3072", "RSA4096", "ED25519", "X25519")


def known(firmware: str) -> list[str]:
    """Return the algorithms that a firmware has."""
    return [name for name in ALGORITHMS if name not in ONLY_5_7 or firmware == "5.7.4"]


@cache
def private_key(algorithm: str) -> bytes:
    """Return a private key as PEM; the same each time, since large ones take long to make."""
    command = ["openssl", "genpkey", *ALGORITHMS[algorithm][1].split()]
    return subprocess.run(command, capture_output=True, check=True).stdout
