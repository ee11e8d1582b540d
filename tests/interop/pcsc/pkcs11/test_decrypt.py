# SPDX-License-Identifier: Apache-2.0
"""What others encrypted to a key is decrypted by it, and secrets are agreed on, by both PKCS#11 modules."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import HASHES, MESSAGE
from tests.interop.pcsc.stories import (
    FIRMWARES,
    FULL,
    OPENSC,
    PIN,
    RETIRED,
    SHORT,
    YKCS11,
    Holder,
    holder,
    object_id,
)
from yubikit.piv import SLOT

pytestmark = pytest.mark.interop

Place = tuple[CardTable, Holder]
KEYS = {"short": SHORT, "full": FULL}
SECRET = MESSAGE[:16]


@pytest.fixture(scope="module", params=[f"{firmware}-{name}" for firmware in FIRMWARES for name in KEYS])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    firmware, name = request.param.split("-")
    alice = holder(firmware, KEYS[name])
    with card_table(alice.yubikey) as table:
        yield table, alice


def use(
    table: CardTable, folder: Path, module: str, slot: SLOT, data: bytes, *arguments: str
) -> tuple[CompletedProcess[str], bytes]:
    """Let pkcs11-tool use a private key on some data; return how it ended, and what came of it."""
    given, made = folder / "given", folder / "made"
    given.write_bytes(data)
    made.unlink(missing_ok=True)
    done = table.run(
        *("pkcs11-tool", "--module", module, "--login", "--pin", PIN, "--id", object_id(module, slot)),
        *(*arguments, "--input-file", given, "--output-file", made),
    )
    return done, made.read_bytes() if made.exists() else b""


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
@pytest.mark.parametrize("place", [f"{firmware}-full" for firmware in FIRMWARES], indirect=True)
def test_every_way_to_decrypt(place: Place, module: str, tmp_path: Path) -> None:
    table, alice = place
    for slot in (SLOT.AUTHENTICATION, SLOT.KEY_MANAGEMENT):
        public_key = alice.public_key(slot)
        encrypted = public_key.encrypt(SECRET, padding.PKCS1v15())

        done, plain = use(table, tmp_path, module, slot, encrypted, "--decrypt", "-m", "RSA-PKCS")
        assert (done.returncode, plain) == (0, SECRET), done

        done, block = use(table, tmp_path, module, slot, encrypted, "--decrypt", "-m", "RSA-X-509")
        assert (done.returncode, block[:2], block[-17:]) == (0, b"\0\2", b"\0" + SECRET), done

        for name in ("SHA1", "SHA256", "SHA384", "SHA512"):
            if public_key.key_size == 1024 and name in ("SHA384", "SHA512"):
                continue  # no room for 16 bytes beside two digests
            scheme = padding.OAEP(padding.MGF1(HASHES[name]), HASHES[name], None)
            done, plain = use(
                *(table, tmp_path, module, slot, public_key.encrypt(SECRET, scheme)),
                *("--decrypt", "-m", "RSA-PKCS-OAEP", "--mgf", f"MGF1-{name}"),
                *("--hash-algorithm", name.replace("SHA1", "SHA-1")),
            )
            assert (done.returncode, plain) == (0, SECRET), (name, done)


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
@pytest.mark.parametrize("place", [f"{firmware}-full" for firmware in FIRMWARES], indirect=True)
def test_every_retired_key_decrypts_or_agrees(place: Place, module: str, tmp_path: Path) -> None:
    table, alice = place
    for slot in RETIRED:
        public_key = alice.public_key(slot)
        if isinstance(public_key, rsa.RSAPublicKey):
            encrypted = public_key.encrypt(SECRET, padding.PKCS1v15())
            done, plain = use(table, tmp_path, module, slot, encrypted, "--decrypt", "-m", "RSA-PKCS")
            assert (done.returncode, plain) == (0, SECRET), (f"{slot:x}", done)
        else:
            done, agreed, expected = agree(table, tmp_path, module, slot, public_key)
            assert (done.returncode, agreed) == (0, expected), (f"{slot:x}", done)


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
@pytest.mark.parametrize("place", [f"{firmware}-short" for firmware in FIRMWARES], indirect=True)
def test_key_management_agrees_on_p384(place: Place, module: str, tmp_path: Path) -> None:
    table, alice = place
    slot = SLOT.KEY_MANAGEMENT
    done, agreed, expected = agree(table, tmp_path, module, slot, alice.public_key(slot))
    assert (done.returncode, agreed) == (0, expected), done


@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
@pytest.mark.parametrize("place", ["5.4.3-full"], indirect=True)
def test_what_was_encrypted_to_somebody_else_stays_so(place: Place, module: str, tmp_path: Path) -> None:
    table, _ = place
    stranger = rsa.generate_private_key(65537, 2048).public_key()
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    done, plain = use(
        *(table, tmp_path, module, SLOT.AUTHENTICATION, stranger.encrypt(SECRET, scheme)),
        *("--decrypt", "-m", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256"),
    )
    assert (done.returncode, plain) == (1, b"")


def agree(
    table: CardTable, folder: Path, module: str, slot: SLOT, public_key: ec.EllipticCurvePublicKey
) -> tuple[CompletedProcess[str], bytes, bytes]:
    """Let a slot's key agree on a secret with a new key; return how it ended, its secret and ours."""
    peer = ec.generate_private_key(public_key.curve)
    point = peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    done, agreed = use(table, folder, module, slot, point, "--derive", "-m", "ECDH1-DERIVE")
    return done, agreed, peer.exchange(ec.ECDH(), public_key)
