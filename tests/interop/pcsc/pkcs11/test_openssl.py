# SPDX-License-Identifier: Apache-2.0
"""The openssl program with the PKCS#11 engine: signatures, requests, decryption, agreement."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import MESSAGE, judge, pem
from tests.interop.pcsc.stories import (
    FIRMWARES,
    FULL,
    OPENSC,
    PIN,
    SHORT,
    YKCS11,
    Holder,
    holder,
    object_id,
)
from yubikit.piv import KEY_TYPE, SLOT

from pivgate.emulator.piv.references import Secret

pytestmark = pytest.mark.interop

KEYS = {"short": SHORT, "full": FULL}
MODULES = {"opensc": OPENSC, "ykcs11": YKCS11}


class Desk:
    """openssl with a module and a key."""

    def __init__(self, table: CardTable, alice: Holder, module: str, folder: Path) -> None:
        self.table = table
        self.alice = alice
        self.module = module
        self.folder = folder
        table.environment["PKCS11_MODULE_PATH"] = module
        (folder / "message").write_bytes(MESSAGE)

    def key(self, slot: SLOT, pin: str = PIN) -> str:
        return f"pkcs11:id=%{object_id(self.module, slot)};type=private;pin-value={pin}"

    def openssl(
        self, command: str, *arguments: str | Path, given: str = ""
    ) -> "tuple[CompletedProcess[str], bytes]":
        """Run a command with the engine; return how it ended, and what it made."""
        made = self.folder / "made"
        made.unlink(missing_ok=True)
        done = self.table.run(
            *("openssl", command, "-engine", "pkcs11", "-keyform", "engine", "-out", made, *arguments),
            given=given,
        )
        return done, made.read_bytes() if made.exists() else b""


@pytest.fixture(scope="module", params=[f"{firmware}-{name}" for firmware in FIRMWARES for name in KEYS])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[CardTable, Holder]]:
    firmware, name = request.param.split("-")
    alice = holder(firmware, KEYS[name])
    with card_table(alice.yubikey) as table:
        yield table, alice


@pytest.fixture(params=MODULES)
def desk(place: tuple[CardTable, Holder], request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(*place, MODULES[request.param], tmp_path)


def test_openssl_signs_and_requests_certificates(desk: Desk) -> None:
    for slot in (SLOT.AUTHENTICATION, SLOT.CARD_AUTH):
        public_key = desk.alice.public_key(slot)
        done, signature = desk.openssl("dgst", "-sha256", "-sign", desk.key(slot), desk.folder / "message")
        assert done.returncode == 0, done
        is_rsa = KEY_TYPE.from_public_key(public_key).name.startswith("RSA")
        judge("SHA256-RSA-PKCS" if is_rsa else "ECDSA-SHA256", public_key, signature, desk.folder)

        if is_rsa:
            pss = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
            done, signature = desk.openssl(
                "dgst", "-sha256", *pss, "-sign", desk.key(slot), desk.folder / "message"
            )
            assert done.returncode == 0, done
            judge("SHA256-RSA-PKCS-PSS", public_key, signature, desk.folder)

        done, request = desk.openssl("req", "-new", "-key", desk.key(slot), "-subj", "/CN=alice")
        assert done.returncode == 0, done
        asked = x509.load_pem_x509_csr(request)
        assert asked.is_signature_valid
        assert asked.public_key() == public_key
        assert asked.subject.rfc4514_string() == "CN=alice"


def test_openssl_asks_for_the_pin_that_slot_9c_wants_each_time(desk: Desk) -> None:
    public_key = desk.alice.public_key(SLOT.SIGNATURE)
    sign = ("dgst", "-sha256", "-sign", desk.key(SLOT.SIGNATURE), desk.folder / "message")
    done, signature = desk.openssl(*sign)
    assert (done.returncode, signature) == (1, b""), "nobody answers"
    done, signature = desk.openssl(*sign, given=f"{PIN}\n")
    assert done.returncode == 0, done
    is_rsa = KEY_TYPE.from_public_key(public_key).name.startswith("RSA")
    judge("SHA256-RSA-PKCS" if is_rsa else "ECDSA-SHA256", public_key, signature, desk.folder)


def test_openssl_decrypts_or_agrees_by_key_management(desk: Desk) -> None:
    slot = SLOT.KEY_MANAGEMENT
    public_key = desk.alice.public_key(slot)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        peer = ec.generate_private_key(public_key.curve)
        (desk.folder / "peer").write_bytes(pem(peer.public_key()))
        done, secret = desk.openssl(
            "pkeyutl", "-derive", "-inkey", desk.key(slot), "-peerkey", desk.folder / "peer"
        )
        assert done.returncode == 0, done
        assert secret == peer.exchange(ec.ECDH(), public_key)
        return
    (desk.folder / "given").write_bytes(public_key.encrypt(b"a secret", padding.PKCS1v15()))
    done, plain = desk.openssl("pkeyutl", "-decrypt", "-inkey", desk.key(slot), "-in", desk.folder / "given")
    assert (done.returncode, plain) == (0, b"a secret"), done
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    (desk.folder / "given").write_bytes(public_key.encrypt(b"a secret", oaep))
    done, plain = desk.openssl(
        *("pkeyutl", "-decrypt", "-inkey", desk.key(slot), "-in", desk.folder / "given"),
        *("-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"),
    )
    assert (done.returncode, plain) == (0, b"a secret"), done


def test_a_wrong_pin_costs_one_try(desk: Desk) -> None:
    key = desk.key(SLOT.AUTHENTICATION, pin="000000")
    done, signature = desk.openssl("dgst", "-sha256", "-sign", key, desk.folder / "message")
    assert (done.returncode, signature) == (1, b"")
    assert "PIN incorrect" in done.stderr
    assert desk.alice.yubikey.piv.state.secrets[Secret.PIN].left == 2
    done, _ = desk.openssl("dgst", "-sha256", "-sign", desk.key(SLOT.AUTHENTICATION), desk.folder / "message")
    assert done.returncode == 0, done
    assert desk.alice.yubikey.piv.state.secrets[Secret.PIN].left == 3
