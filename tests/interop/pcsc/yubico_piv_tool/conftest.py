# SPDX-License-Identifier: Apache-2.0
"""A new key in a reader, and yubico-piv-tool in front of it."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from tests.card_table import CardTable, card_table, new_key
from tests.interop.pcsc.stories import FIRMWARES, PIN, with_tdes
from yubikit.piv import OBJECT_ID, SLOT


class Tool:
    """Runs yubico-piv-tool, and looks into the key to see what it did."""

    def __init__(self, table: CardTable, folder: Path) -> None:
        self.table = table
        self.folder = folder
        self.yubikey = table.readers[0].yubikey

    def run(self, *actions: str, given: str = "") -> "CompletedProcess[str]":
        """Run some actions, each with its options, as one text: ``generate -s 9a``."""
        words = [word for action in actions for word in ("-a", *action.split())]
        return self.table.run("yubico-piv-tool", *words, given=given)

    def good(self, *actions: str, given: str = "") -> str:
        """Run some actions, which must succeed; return what they printed."""
        done = self.run(*actions, given=given)
        assert done.returncode == 0, done
        return done.stdout

    def bad(self, *actions: str, given: str = "") -> str:
        """Run some actions, which must fail; return the reason given."""
        done = self.run(*actions, given=given)
        assert done.returncode == 1, done
        return done.stderr

    def with_pin(self, action: str) -> str:
        """Do something for which the PIN is needed."""
        return self.good(f"verify-pin -P {PIN}", action)

    def public_key(self, slot: SLOT) -> Any:
        return self.yubikey.piv.state.keys[slot].private_key.public_key()

    def stored(self, number: OBJECT_ID) -> bytes:
        return self.yubikey.piv.state.objects.get(number, b"")


@pytest.fixture(params=FIRMWARES)
def tool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tool]:
    """The tool and a new key; one of firmware 5.7 has a management key of the kind that the tool knows."""
    yubikey = new_key(request.param)
    if request.param == "5.7.4":
        # Debian 12's version, 2.2.0, knows Triple DES only; test_too_old.py has the factory's.
        with_tdes(yubikey)
    with card_table(yubikey) as table:
        yield Tool(table, tmp_path)
