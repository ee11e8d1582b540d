# SPDX-License-Identifier: Apache-2.0
"""What Debian 12's yubico-piv-tool, 2.2.0, cannot do, and that it is the tool which cannot, not the key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_table import card_table, new_key
from tests.interop.pcsc.stories import holder, with_tdes
from tests.interop.pcsc.yubico_piv_tool.conftest import Tool
from yubikit.piv import KEY_TYPE, SLOT

pytestmark = pytest.mark.interop


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[Tool]:
    with card_table(new_key("5.7.4")) as table:
        yield Tool(table, tmp_path)


def test_it_takes_triple_des_for_granted_which_firmware_5_7_has_not(newest: Tool) -> None:
    assert "Failed authentication with the application." in newest.bad("generate -s 9a -A ECCP256")
    command, reply = newest.table.log[-1]
    assert command[:4].hex() == "0087039b", "Triple DES"
    assert reply.hex() == "6a80", "not the algorithm of this key"


def test_what_needs_no_management_key_works_on_firmware_5_7(newest: Tool) -> None:
    assert newest.good("version") == "Application version 5.7.4 found.\n"
    assert f"Serial Number:\t{newest.yubikey.serial}\n" in newest.good("status")
    newest.good("verify-pin -P 123456")
    newest.good("change-pin -P 123456 -N 135790")
    newest.bad("verify-pin -P 123456")


@pytest.mark.parametrize("action", ["selfsign-certificate", "request-certificate"])
def test_it_signs_no_certificate_when_built_with_openssl_3(tool: Tool, action: str) -> None:
    # yubico-piv-tool issue 388. The key is not even asked.
    public_key = tool.good("generate -s 9a -A ECCP256")
    words = tool.bad("verify-pin -P 123456", f"{action} -s 9a -S /CN=alice/", given=public_key)
    assert "Failed signing" in words
    assert tool.table.signatures() == 0


def test_it_names_no_algorithm_of_firmware_5_7(tmp_path: Path) -> None:
    slots = {SLOT.AUTHENTICATION: KEY_TYPE.RSA3072, SLOT.CARD_AUTH: KEY_TYPE.ED25519}
    with card_table(with_tdes(holder("5.7.4", slots).yubikey)) as table:
        tool = Tool(table, tmp_path)
        words = tool.good("status")
        assert words.count("Algorithm:\tUnknown") == 2
        assert "Subject DN:\tCN=slot 9a" in words
        assert "Subject DN:\tCN=slot 9e" in words
