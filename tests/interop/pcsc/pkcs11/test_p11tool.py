# SPDX-License-Identifier: Apache-2.0
"""GnuTLS's tools with both PKCS#11 modules: what they list and export, and what they sign."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.stories import (
    FIRMWARES,
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

MODULES = {"opensc": OPENSC, "ykcs11": YKCS11}
SLOTS = {**SHORT, SLOT.RETIRED20: KEY_TYPE.ECCP384}
_BEGIN = "-----BEGIN CERTIFICATE-----"


class Desk:
    """p11tool with a module and a key."""

    def __init__(self, table: CardTable, alice: Holder, module: str) -> None:
        self.table = table
        self.alice = alice
        self.module = module

    def p11tool(self, *arguments: str, pin: str = PIN) -> "CompletedProcess[str]":
        return self.table.run(
            "p11tool", "--provider", self.module, "--batch", "--login", "--set-pin", pin, *arguments
        )

    def url(self, slot: SLOT, kind: str) -> str:
        return f"pkcs11:id=%{object_id(self.module, slot)};type={kind}"


@pytest.fixture(scope="module", params=FIRMWARES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[CardTable, Holder]]:
    alice = holder(request.param, SLOTS, generated=True)
    with card_table(alice.yubikey) as table:
        yield table, alice


@pytest.fixture(params=MODULES)
def desk(place: tuple[CardTable, Holder], request: pytest.FixtureRequest) -> Desk:
    return Desk(*place, MODULES[request.param])


def test_tokens_certificates_and_keys_are_listed(desk: Desk) -> None:
    tokens = desk.p11tool("--list-tokens")
    assert tokens.returncode == 0, tokens
    label = "slot 9a" if desk.module == OPENSC else f"YubiKey PIV #{desk.alice.yubikey.serial}"
    assert f"Label: {label}\n" in tokens.stdout
    assert "Type: Hardware token" in tokens.stdout
    keys = desk.p11tool("--list-privkeys", "pkcs11:")
    assert keys.returncode == 0, keys
    # One more is that of slot f9.
    assert keys.stdout.count("Type: Private key") == len(SLOTS) + (desk.module == YKCS11)
    assert "CKA_NEVER_EXTRACTABLE; CKA_SENSITIVE" in keys.stdout


def test_certificates_are_exported_as_they_were_written(desk: Desk) -> None:
    for slot in (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.RETIRED20):
        done = desk.p11tool("--export", desk.url(slot, "cert"))
        assert done.returncode == 0, done
        pem = done.stdout[done.stdout.index(_BEGIN) :]
        assert x509.load_pem_x509_certificate(pem.encode()) == desk.alice.certificates[slot]


def test_keys_sign_and_gnutls_verifies(desk: Desk) -> None:
    for slot in (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.CARD_AUTH):
        done = desk.p11tool("--test-sign", desk.url(slot, "private"))
        assert done.returncode == 0, done
        assert "Verifying against public key in the token... ok" in done.stderr


def test_certtool_requests_a_certificate(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "template").write_text("cn = alice\n")
    for slot in (SLOT.AUTHENTICATION, SLOT.CARD_AUTH):
        done = desk.table.run(
            *("certtool", "--generate-request", "--provider", desk.module),
            *("--load-privkey", f"{desk.url(slot, 'private')}?pin-value={PIN}"),
            *("--template", tmp_path / "template", "--outfile", tmp_path / "request"),
        )
        assert done.returncode == 0, done
        text = (tmp_path / "request").read_text()
        request = x509.load_pem_x509_csr(text[text.index("-----BEGIN") :].encode())
        assert request.is_signature_valid
        assert request.public_key() == desk.alice.public_key(slot)


def test_a_wrong_pin_costs_one_try(desk: Desk) -> None:
    done = desk.p11tool("--test-sign", desk.url(SLOT.AUTHENTICATION, "private"), pin="000000")
    assert done.returncode
    assert desk.alice.yubikey.piv.state.secrets[Secret.PIN].left == 2
    assert desk.p11tool("--test-sign", desk.url(SLOT.AUTHENTICATION, "private")).returncode == 0


def test_gnutls_cannot_read_the_curve_of_an_imported_key_as_ykcs11_2_2_0_tells_it() -> None:
    # From firmware 5.3 ykcs11 takes the public key from GET METADATA, and spells its curve out.
    alice = holder("5.4.3", {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256})
    with card_table(alice.yubikey) as table:
        ykcs11, opensc = Desk(table, alice, YKCS11), Desk(table, alice, OPENSC)
        done = ykcs11.p11tool("--test-sign", ykcs11.url(SLOT.AUTHENTICATION, "private"))
        assert done.returncode == 1
        assert (
            "Signing using ECDSA-SHA256... ok\nVerifying against private key parameters... ok" in done.stderr
        )
        assert "ASN1 parser: Error in DER parsing" in done.stderr
        assert opensc.p11tool("--test-sign", opensc.url(SLOT.AUTHENTICATION, "private")).returncode == 0
