# SPDX-License-Identifier: Apache-2.0
"""The examples of Yubico's manual, sent as it sends them: by opensc-tool, without a driver, byte for byte.

Source: the APDU pages of Yubico's .NET SDK manual, "Examples" on each
(https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/).
"""

import re
from collections.abc import Iterator

import pytest
from cryptography import x509
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.stories import FIRMWARES, holder
from yubikit.piv import KEY_TYPE, SLOT

pytestmark = pytest.mark.interop

SELECT = "00:a4:04:00:09:a0:00:00:03:08:00:00:10:00"
PROPERTIES = "61114F0600001000010079074F05A0000003089000"


@pytest.fixture(scope="module", params=FIRMWARES)
def table(request: pytest.FixtureRequest) -> Iterator[CardTable]:
    alice = holder(request.param, {SLOT.SIGNATURE: KEY_TYPE.RSA2048}, generated=True)
    with card_table(alice.yubikey) as laid:
        yield laid


def sent(table: CardTable, *commands: str) -> list[str]:
    """Send commands after SELECT; return data and status of each, after those of SELECT."""
    words = [word for command in (SELECT, *commands) for word in ("-s", command)]
    done = table.run("opensc-tool", "-c", "default", *words)
    assert done.returncode == 0, done
    replies = []
    for part in done.stdout.split("Received (SW1=0x")[1:]:
        head, _, body = part.partition(")")
        status = head[:2] + head[-2:]
        lines = body.split("Sending:")[0].splitlines()
        replies.append("".join(map(bytes_of, lines)) + status)
    assert replies.pop(0) == PROPERTIES
    return replies


def bytes_of(line: str) -> str:
    """Return the bytes of a line: three characters each, sixteen at most, then one each as text.

    That text can look like bytes, too. The last line of several is filled up to where it begins.
    """
    return "".join(line[: min(48, len(line) * 3 // 4)].split())


def test_version_and_serial_number(table: CardTable) -> None:
    firmware = table.readers[0].yubikey.firmware
    serial = table.readers[0].yubikey.serial.to_bytes(4, "big").hex().upper() + "9000"
    assert sent(table, "00:fd:00:00") == [bytes(firmware.version).hex().upper() + "9000"]
    assert sent(table, "00:f8:00:00") == [serial if firmware.serial_command else "6D00"]


def test_verify(table: CardTable) -> None:
    assert sent(table, "00:20:00:80:08:31:32:33:34:35:36:ff:ff") == ["9000"]
    assert sent(table, "00:20:00:80:08:31:32:33:34:35:37:ff:ff", "00:20:00:80") == ["63C2", "63C2"]
    assert sent(table, "00:20:00:80:08:31:32:33:34:35:36:ff:ff", "00:20:00:80") == ["9000", "9000"]


def test_reset_retry(table: CardTable) -> None:
    new = "31:32:33:34:35:36:37:ff"
    assert sent(table, f"00:2C:00:80:10:31:32:33:34:35:36:37:38:{new}", f"00:20:00:80:08:{new}") == [
        "9000",
        "9000",
    ]
    assert sent(table, "00:2C:00:80:10:31:32:33:34:35:36:37:38:31:32:33:34:35:36:ff:ff") == ["9000"]


def test_what_needs_a_management_key_is_refused_without(table: CardTable) -> None:
    assert sent(table, "00:fa:05:05") == ["6982"]


def test_a_key_that_has_tries_left_is_not_reset(table: CardTable) -> None:
    assert sent(table, "00:fb:00:00") == ["6985"]


def test_the_management_key_is_challenged_under_triple_des_by_default(table: CardTable) -> None:
    (reply,) = sent(table, "00:87:00:9b:04:7c:02:81:00")
    if table.readers[0].yubikey.firmware.name == "5.7.4":
        assert reply == "6A80", "its key is an AES key"
    else:
        assert re.fullmatch("7C0A8108[0-9A-F]{16}9000", reply)


def test_an_attestation_comes_in_pieces(table: CardTable) -> None:
    replies = sent(table, "00:f9:9c:00", "00:c0:00:00", "00:c0:00:00", "00:c0:00:00")
    whole = bytes.fromhex("".join(reply[:-4] for reply in replies))
    length = int.from_bytes(whole[2:4], "big") + 4
    # opensc-tool shows 9000 in the place of 61xx, in the manual as here.
    statuses = [reply[-2:].hex() for _, reply in table.log[-4:]]
    assert statuses == ["6100", "6100", f"61{length - 768:02x}", "9000"]
    statement = x509.load_der_x509_certificate(whole)
    key = table.readers[0].yubikey.piv.state.keys[SLOT.SIGNATURE]
    assert statement.public_key() == key.private_key.public_key()


def test_metadata_of_a_secret(table: CardTable) -> None:
    has_it = table.readers[0].yubikey.firmware.metadata
    algorithm = "0A" if table.readers[0].yubikey.firmware.name == "5.7.4" else "03"
    # Algorithm, default value, tries in all and left; of the management key its policies for PIN and touch.
    assert sent(table, "00:f7:00:80") == ["0101FF05010106020303" + "9000" if has_it else "6D00"]
    assert sent(table, "00:f7:00:9b") == [f"0101{algorithm}020200010501019000" if has_it else "6D00"]
