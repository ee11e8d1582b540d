# SPDX-License-Identifier: Apache-2.0
"""The log of what real programs say to a key: readable, and without any of the secrets that they sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.card_table import CardTable, card_table, new_key
from tests.interop.pcsc.stories import FIRMWARES, OPENSC, YKCS11, certificate, key_pair, with_tdes
from yubikit.piv import KEY_TYPE

from pivgate.emulator.apdu_log import ApduLog

pytestmark = pytest.mark.interop

# Letters of which no hexadecimal number consists, so that they are nowhere by chance.
PIN, NEXT_PIN, PUK = "zqxjkvwy", "yzqxjkvw", "kkzzqqxx"
MANAGEMENT_KEY = "a1b2c3d4e5f607182939495969798a9aabbccddeeff01020"
LOCK_CODE = "f1e2d3c4b5a69788796a5b4c3d2e1f00"


@pytest.fixture(params=FIRMWARES)
def table(request: pytest.FixtureRequest) -> Iterator[CardTable]:
    yubikey = new_key(request.param)
    if request.param == "5.7.4":
        with_tdes(yubikey)
    with card_table(yubikey) as laid:
        yield laid


def good(table: CardTable, *command: str | Path, given: str | bytes = b"") -> str:
    done = table.run(*command, given=given)
    assert done.returncode == 0, done
    return done.stdout


def text_of(table: CardTable) -> str:
    log = ApduLog()
    return "\n".join(log.line(command, reply) for command, reply in table.log)


def traces(secret: bytes) -> set[str]:
    """Return how a secret would look in a text: itself where it is text, and in hexadecimal, also in part."""
    pieces = {secret, *(secret[start : start + 8] for start in range(0, max(1, len(secret) - 7), 4))}
    return {piece.hex().upper() for piece in pieces} | {secret.decode("latin1")}


def test_no_secret_of_a_key_s_life_is_in_its_log(table: CardTable, tmp_path: Path) -> None:
    key, rsa_key = key_pair(KEY_TYPE.ECCP256), key_pair(KEY_TYPE.RSA2048)
    pem, rsa_pem = (
        each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for each in (key, rsa_key)
    )
    leaf = certificate(key.public_key(), "alice").public_bytes(Encoding.PEM)
    rsa_leaf = certificate(rsa_key.public_key(), "bob").public_bytes(Encoding.PEM)
    tool = ("yubico-piv-tool", "-a")
    managing = ("yubico-piv-tool", f"--key={MANAGEMENT_KEY}", "-a")
    good(table, *tool, "change-pin", "-P", "123456", "-N", PIN)
    good(table, *tool, "change-puk", "-P", "12345678", "-N", PUK)
    good(table, *tool, "unblock-pin", "-P", PUK, "-N", NEXT_PIN)
    good(table, *tool, "set-mgm-key", "-n", MANAGEMENT_KEY)
    good(table, *managing, "import-key", "-s", "9a", given=pem)
    good(table, *managing, "import-key", "-s", "9d", given=rsa_pem)
    good(table, *managing, "import-certificate", "-s", "9a", given=leaf)
    good(table, *managing, "import-certificate", "-s", "9d", given=rsa_leaf)
    good(table, *managing, "write-object", "--id", "0x5fc109", "-f", "hex", given=f"8810{'A5C7' * 8}")
    good(table, *managing, "write-object", "--id", "0x5f0007", "-f", "hex", given="B6D8" * 8)
    table.run(*tool, "verify-pin", "-P", "jjkkqqzz")
    good(table, *tool, "verify-pin", "-P", NEXT_PIN, "-a", "read-object", "--id", "0x5fc109", "-f", "hex")

    secret = b"what was encrypted to somebody"
    (tmp_path / "given").write_bytes(rsa_key.public_key().encrypt(secret, padding.PKCS1v15()))  # type: ignore[union-attr]
    for module in (OPENSC, YKCS11):
        good(
            *(table, "pkcs11-tool", "--module", module, "--login", "--pin", NEXT_PIN, "--id", "03"),
            *("--decrypt", "-m", "RSA-PKCS", "-i", tmp_path / "given", "-o", tmp_path / "made"),
        )
        assert (tmp_path / "made").read_bytes() == secret

    text = text_of(table)
    secrets = [
        *(word.encode() for word in (PIN, NEXT_PIN, PUK, "jjkkqqzz")),
        *(bytes.fromhex(word) for word in (MANAGEMENT_KEY, "A5C7" * 8, "B6D8" * 8)),
        key.private_numbers().private_value.to_bytes(32, "big"),  # type: ignore[union-attr]
        rsa_key.private_numbers().p.to_bytes(128, "big"),  # type: ignore[union-attr]
        rsa_key.private_numbers().q.to_bytes(128, "big"),  # type: ignore[union-attr]
        secret,
    ]
    for each in secrets:
        assert not [trace for trace in traces(each) if trace in text]

    assert "CHANGE REFERENCE DATA PIN (16 bytes, not shown) → 9000 ok" in text
    assert "VERIFY PIN (8 bytes, not shown) → 63C2 wrong, 2 tries left" in text
    assert "IMPORT KEY slot 9a (authentication) ECCP256 (3" in text
    assert "PUT DATA 5FC109 printed information (18 bytes, not shown) → 9000 ok" in text
    assert "GET DATA 5FC109 printed information → 9000 ok (20 bytes, not shown)" in text
    assert "GENERAL AUTHENTICATE slot 9d (key management) RSA2048 (266 bytes, not shown)" in text


def test_what_is_public_is_shown(table: CardTable) -> None:
    public_key = key_pair(KEY_TYPE.ECCP384).public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    leaf = certificate(public_key, "alice")
    given = leaf.public_bytes(Encoding.PEM)
    good(table, "yubico-piv-tool", "-a", "import-certificate", "-s", "9a", given=given)
    good(table, "pkcs11-tool", "--list-objects")
    text = text_of(table)
    version = bytes(table.readers[0].yubikey.firmware.version).hex().upper()
    assert f"GET VERSION → 9000 ok {version}" in text
    assert "SELECT PIV → 9000 ok 61114F06" in text
    # Written whole, and read in pieces that GET RESPONSE goes on with.
    assert leaf.public_bytes(Encoding.DER).hex().upper() in text
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex().upper()
    read = "".join(
        line.rsplit(" ", 1)[1]
        for line in text.splitlines()
        if "bytes more" in line or ("GET RESPONSE" in line and "not shown" not in line)
    )
    assert point in read


def test_what_ykman_tells_and_hears_is_in_words(table: CardTable) -> None:
    good(table, "ykman", "info")
    if table.readers[0].yubikey.firmware.name != "4.3.7":
        # A configuration of firmware 4 has no lock.
        good(table, "ykman", "config", "set-lock-code", "--new-lock-code", LOCK_CODE, "--force")
        table.await_cards(1)
    good(table, "ykman", "piv", "access", "change-pin", "--pin", "123456", "--new-pin", PIN)
    text = text_of(table)
    assert "SELECT management → 9000 ok" in text
    assert "READ CONFIGURATION page 0 → 9000 ok" in text
    assert "CHANGE REFERENCE DATA PIN (16 bytes, not shown) → 9000 ok" in text
    for secret in (bytes.fromhex(LOCK_CODE), PIN.encode()):
        assert not [trace for trace in traces(secret) if trace in text]
