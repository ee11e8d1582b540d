# SPDX-License-Identifier: Apache-2.0
"""Certificates and requests that ykman has the key sign, and those it puts into slots; openssl judges."""

import pytest
from tests.interop.pcsc.ykman.algorithms import private_key
from tests.interop.pcsc.ykman.conftest import MANAGEMENT_KEY, PIN, WITH_METADATA, Plug, Ykman

pytestmark = pytest.mark.interop

GENERATE_KEY = f"piv keys generate -m {MANAGEMENT_KEY}"
SELF_SIGN = f"piv certificates generate -m {MANAGEMENT_KEY} -P {PIN}"
REQUEST = f"piv certificates request -P {PIN}"
IMPORT = f"piv certificates import -m {MANAGEMENT_KEY}"
DELETE = f"piv certificates delete -m {MANAGEMENT_KEY}"
ON_P256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
SUBJECT = "CN=Alice,O=Example"
# Every algorithm that signs, and the slots of the three PIN policies.
SIGNERS = {
    "4.3.7": {"9a": "ECCP384", "9c": "RSA2048", "9e": "ECCP256", "85": "RSA1024"},
    "5.2.7": {"9a": "RSA2048", "9c": "ECCP384", "9d": "ECCP256", "86": "RSA1024"},
    "5.4.3": {"9a": "ECCP256", "9c": "RSA2048", "9e": "ECCP384", "95": "RSA1024"},
    "5.7.4": {
        "9a": "ED25519",
        "9c": "RSA2048",
        "9e": "ECCP384",
        "82": "ECCP256",
        "83": "RSA1024",
    },
}


@pytest.mark.parametrize("version", SIGNERS)
def test_requests_and_self_signed_certificates(plug: Plug, version: str) -> None:
    ykman = plug(version)
    for slot, algorithm in SIGNERS[version].items():
        ykman(f"{GENERATE_KEY} -a {algorithm} {slot} {slot}.pub")
        ykman(f"{REQUEST} -s {SUBJECT} {slot} {slot}.pub request.pem")
        said = ykman.openssl("req -in request.pem -verify -noout -subject -pubkey")
        assert "verify OK" in said
        assert "CN = Alice" in said
        assert ykman.read(f"{slot}.pub").decode() in said

        assert "Certificate generated" in ykman(f"{SELF_SIGN} -d 7 -s {SUBJECT} {slot} {slot}.pub")
        ykman(f"piv certificates export {slot} self.pem")
        assert ykman.openssl("verify -check_ss_sig -CAfile self.pem self.pem") == "self.pem: OK\n"
        assert ykman.openssl("x509 -in self.pem -noout -pubkey").encode() == ykman.read(f"{slot}.pub")
        ykman(f"piv certificates export -F DER {slot} self.der")
        assert ykman.openssl("x509 -inform DER -in self.der").encode() == ykman.read("self.pem")
    said = ykman("piv info")
    assert said.count("Subject DN:") == len(SIGNERS[version])
    assert "CHUID: No data" not in said


@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512"])
def test_every_digest(newest: Ykman, digest: str) -> None:
    for slot, algorithm in {"9a": "ECCP256", "9d": "RSA2048", "9e": "ECCP384"}.items():
        newest(f"{GENERATE_KEY} -a {algorithm} {slot} {slot}.pub")
        newest(f"{REQUEST} -a {digest} -s {SUBJECT} {slot} {slot}.pub request.pem")
        said = newest.openssl("req -in request.pem -verify -noout -text")
        assert "verify OK" in said
        assert digest in said.upper()


def authority(ykman: Ykman) -> None:
    """Make an authority that is not on a key."""
    ykman.openssl(f"req -x509 {ON_P256} -keyout ca.key -out ca.pem -subj /CN=CA -days 2")


def test_an_issued_certificate_goes_only_to_its_key(ykman: Ykman) -> None:
    authority(ykman)
    for slot, algorithm in {"9a": "ECCP384", "9c": "RSA2048"}.items():
        ykman(f"{GENERATE_KEY} -a {algorithm} {slot} {slot}.pub")
        ykman(f"{REQUEST} -s {SUBJECT} {slot} {slot}.pub {slot}.csr")
        ykman.openssl(f"x509 -req -in {slot}.csr -CA ca.pem -CAkey ca.key -days 2 -out {slot}.pem")
        assert "Certificate imported" in ykman(f"{IMPORT} --verify -P {PIN} {slot} {slot}.pem")
        ykman(f"piv certificates export {slot} exported.pem")
        assert ykman.read("exported.pem") == ykman.read(f"{slot}.pem")
        assert ykman.openssl("verify -CAfile ca.pem exported.pem") == "exported.pem: OK\n"

    assert "does not match" in ykman.refuses(f"{IMPORT} --verify -P {PIN} 9a 9c.pem")
    assert "2 tries left" in ykman.refuses(f"{IMPORT} --verify -P 654321 9a 9a.pem")
    assert "management key failed" in ykman.refuses(f"piv certificates import -m {'ab' * 24} 9a 9c.pem")
    if ykman.key.firmware.name in WITH_METADATA:
        assert "No private key in slot" in ykman.refuses(f"{IMPORT} --verify -P {PIN} 95 9a.pem")
    ykman("piv certificates export 9a exported.pem")
    assert ykman.read("exported.pem") == ykman.read("9a.pem")

    assert "Certificate imported" in ykman(f"{IMPORT} 95 ca.pem"), "without --verify nobody asks for a key"
    assert "Certificate imported" in ykman(f"{IMPORT} --compress 94 ca.pem")
    ykman("piv certificates export 94 exported.pem")
    assert ykman.read("exported.pem") == ykman.read("ca.pem")
    assert "deleted" in ykman(f"{DELETE} 94")
    assert "No certificate found." in ykman.refuses("piv certificates export 94 exported.pem")
    ykman(f"{DELETE} 94")


def test_the_id_of_the_card_changes_with_its_certificates(newest: Ykman) -> None:
    authority(newest)
    seen = []
    for option in ("", "", "--no-update-chuid"):
        newest(f"{IMPORT} {option} 9a ca.pem")
        newest("piv objects export chuid chuid")
        seen.append(newest.read("chuid"))
    assert seen[0] != seen[1] == seen[2]


def of_size(ykman: Ykman, size: int) -> str:
    """Make a certificate of so many bytes, and return its file's name; with RSA its length does not vary."""
    ykman.write("large.key", private_key("RSA2048"))
    comment, name = size - 1000, f"{size}.pem"
    for _ in range(2):
        ykman.openssl(
            f"req -x509 -key large.key -out {name} -subj /CN=large -set_serial 1 -days 2"
            f" -addext nsComment={'x' * comment}"
        )
        ykman.openssl(f"x509 -in {name} -outform DER -out large.der")
        comment += size - len(ykman.read("large.der"))
    assert len(ykman.read("large.der")) == size
    return name


def test_sixteen_certificates_of_the_largest_size(ykman: Ykman) -> None:
    """Yubico, "Maximum certificate sizes": 16 of 3,052 bytes, of which ykman sends no more than 3,035."""
    largest, larger = of_size(ykman, 3035), of_size(ykman, 3072)
    assert ykman.run(f"{IMPORT} 9a {larger}")[0] == 1
    slots = ("9a", "9c", "9d", "9e", *(f"{slot:x}" for slot in range(0x82, 0x82 + 12)))
    for slot in slots:
        ykman(f"{IMPORT} --no-update-chuid {slot} {largest}")
    assert ykman.run(f"{IMPORT} --no-update-chuid 95 {largest}")[0] == 1
    assert "No certificate found." in ykman.refuses("piv certificates export 95 exported.pem")
    for slot in ("9a", slots[-1]):
        ykman(f"piv certificates export {slot} exported.pem")
        assert ykman.read("exported.pem") == ykman.read(largest)
    ykman(f"{IMPORT} --no-update-chuid --compress 95 {larger}")
    ykman("piv certificates export 95 exported.pem")
    assert ykman.read("exported.pem") == ykman.read(larger)


def test_wrong_and_blocked_pins_sign_nothing(ykman: Ykman) -> None:
    ykman(f"{GENERATE_KEY} -a ECCP256 9a key.pub")
    wrong = f"piv certificates request -P 654321 -s {SUBJECT} 9a key.pub request.pem"
    for said in ("2 tries left", "1 tries left", "PIN is blocked"):
        assert said in ykman.refuses(wrong)
    blocked = f"piv certificates request -P {PIN} -s {SUBJECT} 9a key.pub request.pem"
    assert "PIN is blocked" in ykman.refuses(blocked)
    assert "PIN is blocked" in ykman.refuses(f"{SELF_SIGN} -s {SUBJECT} 9a key.pub")
    assert "No certificate found." in ykman.refuses("piv certificates export 9a none.pem")
    ykman(f"piv access unblock-pin -p 12345678 -n {PIN}")
    ykman(blocked)
    assert "verify OK" in ykman.openssl("req -in request.pem -verify -noout")


def test_a_request_with_the_key_of_another_slot_is_seen_through(ykman: Ykman) -> None:
    ykman(f"{GENERATE_KEY} -a ECCP256 9a 9a.pub")
    ykman(f"{GENERATE_KEY} -a ECCP256 9d 9d.pub")
    ykman(f"{REQUEST} -s {SUBJECT} 9d 9a.pub request.pem")
    status, said = ykman.openssl_says("req -in request.pem -verify -noout")
    assert "verify failure" in said.lower(), status


def test_pin_and_management_key_are_asked_for(newest: Ykman) -> None:
    newest(f"{GENERATE_KEY} -a ECCP256 9a key.pub")
    status, shown = newest.talk(
        f"piv certificates generate -s {SUBJECT} 9a",
        answers=[("Enter a management key [blank to use default key]: ", ""), ("Enter PIN: ", PIN)],
    )
    assert (status, "Certificate generated" in shown, PIN in shown) == (0, True, False)
    status, shown = newest.talk(
        f"piv certificates request -s {SUBJECT} 9a key.pub -", answers=[("Enter PIN: ", "000000")]
    )
    assert (status, "2 tries left" in shown, "BEGIN" in shown) == (1, True, False)
