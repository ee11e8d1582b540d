# SPDX-License-Identifier: Apache-2.0
"""Certificates that every gate must refuse. The gate is proved shut by trying them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pivgate.authority.issue import Authority, build, random_serial_number
from pivgate.authority.keys import KeyAlgorithm, generate
from pivgate.authority.names import common_name
from pivgate.authority.profiles import CLIENT, Contents

# Not a user's name: the space and the colon make sure that no user can ever be called so.
PROBE_NAME = "pivgate probe: never admitted"


def issue_probes(
    authority: Authority, *, now: datetime, randomness: Callable[[int], bytes]
) -> dict[str, tuple[bytes, bytes]]:
    """Issue one certificate for each way of being wrong.

    Args:
        authority: Ours.
        now: The time, UTC.
        randomness: Gives that many random bytes, for serial numbers.

    Returns:
        Certificate and private key, PEM, under ``expired`` (ours, ended a day ago), ``revoked`` (ours, holds
        as long as the authority, never admitted) and ``foreign`` (all its names and identifiers are ours, the
        key that signed it is not).
    """
    authority.check_dates(now)
    second = now.replace(microsecond=0)
    day = timedelta(days=1)
    impostor = Authority(authority.certificate, generate(_algorithm(authority)))
    life = (authority.starts, authority.ends)
    return {
        "expired": _probe(authority, (second - 2 * day, second - day), randomness),
        "revoked": _probe(authority, life, randomness),
        "foreign": _probe(impostor, life, randomness),
    }


def _algorithm(authority: Authority) -> KeyAlgorithm:
    public_key = authority.signer.public_key
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        return KeyAlgorithm.ED25519
    return KeyAlgorithm.P256 if public_key.curve.name == "secp256r1" else KeyAlgorithm.P384


def _probe(
    authority: Authority, validity: tuple[datetime, datetime], randomness: Callable[[int], bytes]
) -> tuple[bytes, bytes]:
    private_key = ec.generate_private_key(ec.SECP256R1())
    builder = build(
        CLIENT,
        Contents(private_key.public_key(), authority.key_identifier),
        subject=common_name(PROBE_NAME),
        issuer=authority.name,
        serial_number=random_serial_number(randomness),
        validity=validity,
    )
    certificate: x509.Certificate = authority.signer.sign_certificate(builder)
    return (
        certificate.public_bytes(Encoding.PEM),
        private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
