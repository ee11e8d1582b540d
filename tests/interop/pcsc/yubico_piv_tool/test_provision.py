# SPDX-License-Identifier: Apache-2.0
"""Every action of yubico-piv-tool that fills a key or looks at it: how it ends, and what it did."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
    pkcs12,
)
from tests.interop.pcsc.stories import RETIRED, certificate, key_pair
from tests.interop.pcsc.yubico_piv_tool.conftest import Tool
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT

pytestmark = pytest.mark.interop

ALGORITHMS = {
    "RSA1024": KEY_TYPE.RSA1024,
    "RSA2048": KEY_TYPE.RSA2048,
    "ECCP256": KEY_TYPE.ECCP256,
    "ECCP384": KEY_TYPE.ECCP384,
}
SLOTS = (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.KEY_MANAGEMENT, SLOT.CARD_AUTH, *RETIRED)


def test_a_key_in_every_slot_is_attested(tool: Tool) -> None:
    for number, slot in enumerate(SLOTS):
        name, key_type = list(ALGORITHMS.items())[number % 4]
        public_key = load_pem_public_key(tool.good(f"generate -s {slot:x} -A {name}").encode())
        assert KEY_TYPE.from_public_key(public_key) is key_type
        assert public_key == tool.public_key(slot)
        statement = x509.load_pem_x509_certificate(tool.good(f"attest -s {slot:x}").encode())
        assert statement.public_key() == public_key
        statement.verify_directly_issued_by(tool.yubikey.attestation.certificate)


def test_a_key_with_policies_says_so_in_its_attestation(tool: Tool) -> None:
    tool.good("generate -s 9a -A ECCP256 --pin-policy never --touch-policy cached")
    statement = x509.load_pem_x509_certificate(tool.good("attest -s 9a").encode())
    policies = statement.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.8"))
    assert policies.value.value == b"\1\3"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_key_from_outside_is_imported_and_used(tool: Tool, name: str) -> None:
    key = key_pair(ALGORITHMS[name])
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    leaf = certificate(key.public_key(), name)
    as_pem = leaf.public_bytes(Encoding.PEM).decode()
    for slot in (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.RETIRED20):
        tool.good(f"import-key -s {slot:x}", given=pem)
        assert tool.public_key(slot) == key.public_key()
        tool.good(f"import-certificate -s {slot:x}", given=as_pem)
        assert tool.good(f"read-certificate -s {slot:x}") == as_pem
        # The tool verifies with the certificate given, by openssl.
        for action, word in (("test-signature", "Successful"), ("test-decipher", "Successfully")):
            words = ("yubico-piv-tool", "-a", "verify-pin", "-P", "123456", "-a", action, "-s", f"{slot:x}")
            tested = tool.table.run(*words, given=as_pem)
            assert (tested.returncode, word in tested.stderr) == (0, True), tested
        assert "Failed to attest data" in tool.bad(f"attest -s {slot:x}"), "made outside"


def test_a_signature_that_is_not_the_certificates_is_found(tool: Tool) -> None:
    tool.good("generate -s 9a -A ECCP256")
    other = certificate(key_pair(KEY_TYPE.ECCP256).public_key(), "other").public_bytes(Encoding.PEM).decode()
    words = tool.bad("verify-pin -P 123456", "test-signature -s 9a", given=other)
    assert "Failed ECDSA verification." in words


def test_pkcs12_brings_key_and_certificate(tool: Tool) -> None:
    key = key_pair(KEY_TYPE.ECCP384)
    leaf = certificate(key.public_key(), "both")
    bag = tool.folder / "bag.p12"
    bag.write_bytes(
        pkcs12.serialize_key_and_certificates(b"both", key, leaf, None, BestAvailableEncryption(b"open"))  # type: ignore[arg-type]
    )
    tool.good(f"import-key -s 9d -K PKCS12 -p open -i {bag}", "import-certificate")
    assert tool.public_key(SLOT.KEY_MANAGEMENT) == key.public_key()
    assert leaf.public_bytes(Encoding.DER) in tool.stored(OBJECT_ID.KEY_MANAGEMENT)
    assert x509.load_der_x509_certificate(_read(tool, "9d", "DER")) == leaf


def test_a_certificate_is_deleted_and_the_key_stays(tool: Tool) -> None:
    public_key = tool.good("generate -s 9a -A ECCP256")
    leaf = certificate(load_pem_public_key(public_key.encode()), "9a").public_bytes(Encoding.PEM).decode()
    tool.good("import-certificate -s 9a", given=leaf)
    tool.good("delete-certificate -s 9a")
    assert "Failed fetching certificate." in tool.bad("read-certificate -s 9a")
    assert tool.stored(OBJECT_ID.AUTHENTICATION) == b""
    assert tool.public_key(SLOT.AUTHENTICATION)


@pytest.mark.parametrize("form", ["hex", "base64", "binary"])
def test_an_object_is_written_and_read_back(tool: Tool, form: str) -> None:
    value = b"anything"
    given = tool.folder / "given"
    text = {"hex": value.hex().encode(), "base64": base64.encodebytes(value), "binary": value}[form]
    given.write_bytes(text)
    tool.good(f"write-object --id 0x5f0001 -f {form} -i {given}")
    assert tool.yubikey.piv.state.objects[0x5F0001] == value
    made = tool.folder / "made"
    tool.good(f"read-object --id 0x5f0001 -f {form} -o {made}")
    assert made.read_bytes().strip() == text.strip()
    assert "Failed fetching object." in tool.bad("read-object --id 0x5f0002 -f hex")


def test_the_card_gets_an_identity(tool: Tool) -> None:
    tool.good("set-chuid", "set-ccc")
    chuid, capabilities = tool.stored(OBJECT_ID.CHUID), tool.stored(OBJECT_ID.CAPABILITY)
    assert chuid.startswith(bytes.fromhex("3019D4E739DA739CED39CE739D836858210842108421C84210C3EB3410"))
    assert capabilities.startswith(bytes.fromhex("F015A000000116FF02"))
    words = tool.good("status")
    assert f"CHUID:\t{chuid.hex()}" in words
    assert f"CCC:\t{capabilities.hex()}" in words


def test_status_and_version_tell_what_the_key_is(tool: Tool) -> None:
    name = tool.yubikey.firmware.name
    assert tool.good("version") == f"Application version {name} found.\n"
    assert tool.good("list-readers") == f"{tool.yubikey.firmware.reader_name} 00 00\n"
    key = key_pair(KEY_TYPE.ECCP256)
    leaf = certificate(key.public_key(), "alice")
    tool.good("import-certificate -s 9e", given=leaf.public_bytes(Encoding.PEM).decode())
    words = tool.good("status")
    assert f"Version:\t{name}\n" in words
    assert f"Serial Number:\t{tool.yubikey.serial}\n" in words
    assert "CHUID:\tNo data available\n" in words
    assert "Slot 9e:\t\n\tAlgorithm:\tECCP256\n\tSubject DN:\tCN=alice\n" in words
    assert "PIN tries left:\t3\n" in words


def _read(tool: Tool, slot: str, form: str) -> bytes:
    made: Path = tool.folder / "made"
    tool.good(f"read-certificate -s {slot} -K {form} -o {made}")
    return made.read_bytes()
