# SPDX-License-Identifier: Apache-2.0
"""Key pairs of every algorithm: made, brought in, shown, attested, moved, deleted; openssl looks at each."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.interop.pcsc.ykman.algorithms import ALGORITHMS, ONLY_5_7, known, private_key
from tests.interop.pcsc.ykman.conftest import MANAGEMENT_KEY, PIN, WITH_METADATA, Plug, Ykman

pytestmark = pytest.mark.interop

GENERATE = f"piv keys generate -m {MANAGEMENT_KEY}"
IMPORT = f"piv keys import -m {MANAGEMENT_KEY}"
DELETE = f"piv keys delete -m {MANAGEMENT_KEY}"
MOVE = f"piv keys move -m {MANAGEMENT_KEY}"

SLOTS = ("9a", "9c", "9d", "9e", "82", "8a", "94", "95")
EVERY_SLOT = Path(__file__).with_name("every_slot.py")
# What openssl objects to in chains of real keys, too: tests/interop/test_emulated_attestation.py.
FAULTS = {"4.3.7": ["error 79 at 1 depth", "error 25 at 2 depth"]}


def test_every_algorithm_is_generated_and_attested(ykman: Ykman) -> None:
    ykman("piv certificates export f9 f9.pem")
    chain = [each.public_bytes(Encoding.PEM) for each in ykman.key.attestation.chain]
    ykman.write("root.pem", chain.pop())
    ykman.write("between.pem", ykman.read("f9.pem") + b"".join(chain))
    for algorithm, slot in zip(known(ykman.key.firmware.name), SLOTS, strict=False):
        assert "Private key generated" in ykman(f"{GENERATE} -a {algorithm} {slot} key.pem")
        assert ALGORITHMS[algorithm][0] in ykman.openssl("pkey -pubin -in key.pem -noout -text")

        ykman(f"piv keys attest {slot} statement.pem")
        assert ykman.openssl("x509 -in statement.pem -noout -pubkey").encode() == ykman.read("key.pem")
        assert f"YubiKey PIV Attestation {slot}" in ykman.openssl("x509 -in statement.pem -noout -subject")
        _, said = ykman.openssl_says("verify -CAfile root.pem -untrusted between.pem statement.pem")
        assert re.findall(r"error \d+ at \d+ depth", said) == FAULTS.get(ykman.key.firmware.name, [])

        ykman(f"piv keys export {slot} exported.pem")
        assert ykman.read("exported.pem") == ykman.read("key.pem")
        if ykman.key.firmware.name in WITH_METADATA:
            said = ykman(f"piv keys info {slot}")
            assert re.search(rf"Algorithm: +{algorithm}\n", said)
            assert re.search(r"Origin: +GENERATED\n", said)
        else:
            assert ykman.run(f"piv keys info {slot}")[0] == 1
    assert ykman.run(f"{GENERATE} -a ECCP256 9b key.pem")[0] in (1, 2), "no slot for a key pair"


def test_every_algorithm_is_imported_and_never_attested(ykman: Ykman) -> None:
    for algorithm, slot in zip(known(ykman.key.firmware.name), SLOTS, strict=False):
        ykman.write("private.pem", private_key(algorithm))
        ykman.openssl("pkey -in private.pem -pubout -out public.pem")
        assert "Private key imported" in ykman(f"{IMPORT} {slot} private.pem")
        assert "Attestation failed." in ykman.refuses(f"piv keys attest {slot} statement.pem")
        if ykman.key.firmware.name in WITH_METADATA:
            assert re.search(r"Origin: +IMPORTED\n", ykman(f"piv keys info {slot}"))
        else:
            assert "Unable to export public key" in ykman.refuses(f"piv keys export {slot} exported.pem")
        if algorithm not in ("ED25519", "X25519"):  # one that ykman cannot check, and one that cannot sign
            ykman.openssl("req -x509 -key private.pem -out certificate.pem -subj /CN=mine")
            ykman(f"piv certificates import --verify -m {MANAGEMENT_KEY} -P {PIN} {slot} certificate.pem")
        ykman(f"piv keys export --verify -P {PIN} {slot} exported.pem")
        assert ykman.read("exported.pem") == ykman.read("public.pem")


@pytest.mark.parametrize("version", ["4.3.7", "5.2.7", "5.4.3"])
def test_an_algorithm_of_a_later_firmware_is_refused(plug: Plug, version: str) -> None:
    ykman = plug(version)
    for algorithm in ONLY_5_7:
        assert "5.7" in ykman.refuses(f"{GENERATE} -a {algorithm} 9a key.pem")
        if not algorithm.startswith("RSA"):  # which take long to make
            ykman.write("private.pem", private_key(algorithm))
            assert "5.7" in ykman.refuses(f"{IMPORT} 9a private.pem")
    ykman.openssl("genpkey -out private.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-521")
    assert "Unsupported EC curve" in ykman.refuses(f"{IMPORT} 9a private.pem")


def test_policies_are_kept_and_shown(newest: Ykman) -> None:
    wanted = {"9a": ("NEVER", "ALWAYS"), "9c": ("ONCE", "CACHED"), "9e": ("ALWAYS", "NEVER")}
    for slot, (pin, touch) in wanted.items():
        newest(f"{GENERATE} -a ECCP256 --pin-policy {pin} --touch-policy {touch} {slot} key.pem")
        said = newest(f"piv keys info {slot}")
        assert re.search(rf"PIN required for use: +{pin}\n", said)
        assert re.search(rf"Touch required for use: +{touch}\n", said)
    assert newest.run(f"{GENERATE} -a ECCP256 --pin-policy MATCH-ONCE 9a key.pem")[0] != 0
    assert re.search(r"PIN required for use: +NEVER\n", newest("piv keys info 9a")), "untouched"


def test_keys_move_and_vanish(newest: Ykman) -> None:
    newest(f"{GENERATE} -a ECCP256 9a key.pem")
    newest(f"{GENERATE} -a ECCP384 9c other.pem")
    assert "DEST slot is not empty." in newest.refuses(f"{MOVE} 9a 9c")
    assert "No key in SOURCE slot." in newest.refuses(f"{MOVE} 9d 82")
    assert "management key failed" in newest.refuses(f"piv keys move -m {'ab' * 24} 9a 82")
    assert "management key failed" in newest.refuses(f"piv keys delete -m {'ab' * 24} 9a")
    assert newest.run(f"{MOVE} f9 82")[0] == 1
    assert newest.run(f"{MOVE} 9a f9")[0] == 1

    assert "Key moved" in newest(f"{MOVE} 9a 95")
    assert "No key stored" in newest.refuses("piv keys info 9a")
    newest("piv keys export 95 exported.pem")
    assert newest.read("exported.pem") == newest.read("key.pem")
    newest("piv keys attest 95 statement.pem")

    assert "deleted" in newest(f"{DELETE} 95")
    assert "No key stored" in newest.refuses(f"{DELETE} 95")
    assert "No key stored" in newest.refuses("piv keys export 95 exported.pem")
    newest("piv keys export 9c exported.pem")
    assert newest.read("exported.pem") == newest.read("other.pem")


@pytest.mark.parametrize("version", ["4.3.7", "5.2.7", "5.4.3"])
def test_older_firmware_moves_and_deletes_nothing(plug: Plug, version: str) -> None:
    ykman = plug(version)
    ykman(f"{GENERATE} -a ECCP256 9a key.pem")
    assert "5.7.0" in ykman.refuses(f"{MOVE} 9a 82")
    assert "5.7.0" in ykman.refuses(f"{DELETE} 9a")
    ykman("piv keys attest 9a statement.pem")


def test_the_attestation_key_can_be_replaced(newest: Ykman) -> None:
    """Whoever has the management key may: Yubico's "PIV attestation" says that it is for good."""
    newest("piv keys info f9")
    assert newest.run("piv keys attest f9 statement.pem")[0] == 1, "it attests the others only"
    newest.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout own.key -out own.pem -days 2"
        " -subj /CN=own -addext basicConstraints=critical,CA:TRUE"
    )
    newest(f"{IMPORT} f9 own.key")
    newest(f"piv certificates import -m {MANAGEMENT_KEY} f9 own.pem")
    newest(f"{GENERATE} -a ECCP256 9a key.pem")
    newest("piv keys attest 9a statement.pem")
    assert newest.openssl("verify -CAfile own.pem statement.pem") == "statement.pem: OK\n"

    newest("piv reset --force")
    newest("piv certificates export f9 after.pem")
    assert newest.read("after.pem") == newest.read("own.pem"), "no reset brings the factory's back"


def test_the_management_key_and_the_password_of_a_file_are_asked_for(newest: Ykman) -> None:
    newest.openssl(
        "genpkey -out private.pem -aes128 -pass pass:open -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    )
    status, shown = newest.talk(
        "piv keys import 9a private.pem",
        answers=[
            ("Enter password to decrypt key: ", "wrong"),
            ("Enter password to decrypt key: ", "open"),
            ("Enter a management key [blank to use default key]: ", ""),
        ],
    )
    assert (status, "Wrong password." in shown, "Private key imported" in shown) == (0, True, True)
    status, shown = newest.talk(
        "piv keys generate 9a key.pem", answers=[("Enter a management key", "nonsense")]
    )
    assert (status, "wrong format" in shown) == (1, True)
    assert re.search(r"Origin: +IMPORTED\n", newest("piv keys info 9a"))
    assert PIN not in shown


def test_every_slot(ykman: Ykman) -> None:
    assert ykman("script --force", EVERY_SLOT) == "24 slots\n"
