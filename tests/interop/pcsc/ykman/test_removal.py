# SPDX-License-Identifier: Apache-2.0
"""Keys that are pulled out while ykman works, and put back: it fails, they do not."""

import re
import threading
from collections.abc import Callable

import pytest
from tests.card_table import PATIENCE, CardTable
from tests.interop.pcsc.ykman.conftest import MANAGEMENT_KEY, PIN, SERIAL, Plug, Ykman

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.yubikey import EmulatedYubiKey

pytestmark = pytest.mark.interop

GENERATE = f"piv keys generate -m {MANAGEMENT_KEY} -a ECCP256 9a"


def pull_out(table: CardTable) -> None:
    """Pull the first key out, from another thread than that which answers for it; wait until it has gone."""
    reader = table.readers[0]
    threading.Thread(target=reader.remove).start()
    while reader.occupied:
        pass


def put_back(ykman: Ykman) -> None:
    """Plug the first key in again."""
    ykman.table.readers[0].insert()
    ykman.table.readers[0].await_power(PATIENCE)


def at_command(ykman: Ykman, instruction: int, act: Callable[[], None]) -> None:
    """Do something when the key has carried out the first command with an instruction, before it answers."""
    log = ykman.key.log
    assert log is not None
    waiting = [instruction]

    def watch(command: bytes, reply: bytes) -> None:
        log(command, reply)
        if waiting and command[1] == waiting[0]:
            waiting.clear()
            act()

    ykman.key.log = watch


@pytest.mark.parametrize(
    ("instruction", "made"),
    [(0xA4, False), (0xFD, False), (0xCB, False), (0x87, False), (0x47, True)],
    ids=["SELECT", "GET VERSION", "GET DATA", "GENERAL AUTHENTICATE", "GENERATE"],
)
def test_pulled_out_in_the_middle_of_a_command(newest: Ykman, instruction: int, *, made: bool) -> None:
    at_command(newest, instruction, lambda: pull_out(newest.table))
    status, said = newest.run(f"{GENERATE} key.pem")
    assert status == 1, said

    put_back(newest)
    # The key had carried the command out; only its answer was lost.
    assert newest.run("piv keys info 9a")[0] == (0 if made else 1)
    newest(f"{GENERATE} key.pem")
    newest("piv keys attest 9a statement.pem")


def test_pulled_out_while_ykman_asks(ykman: Ykman) -> None:
    ykman(f"{GENERATE} key.pem")
    status, shown = ykman.talk(
        "piv certificates request -s CN=x 9a key.pem request.pem",
        answers=[("Enter PIN: ", lambda: pull_out(ykman.table)), ("", PIN)],
    )
    assert status == 1, shown
    put_back(ykman)
    ykman(f"piv certificates request -s CN=x -P {PIN} 9a key.pem request.pem")
    assert "verify OK" in ykman.openssl("req -in request.pem -verify -noout")
    assert "tries remaining" in ykman("piv info")


def test_pulled_out_and_put_back_while_ykman_asks(newest: Ykman) -> None:
    """Nothing that was proved to the key before it lost its power counts after."""

    def swap() -> None:
        pull_out(newest.table)
        put_back(newest)

    status, shown = newest.talk(
        f"piv access set-retries --force -m {MANAGEMENT_KEY} 9 9 -P", "654321", answers=[]
    )
    assert (status, "2 tries left" in shown) == (1, True)
    status, shown = newest.talk(f"piv certificates generate -m {MANAGEMENT_KEY} -s CN=x 9a", answers=[])
    assert (status, "No private key in slot" in shown) == (1, True)
    newest(f"{GENERATE} key.pem")
    status, shown = newest.talk(
        f"piv certificates generate -m {MANAGEMENT_KEY} -s CN=x 9a",
        answers=[("Enter PIN: ", swap), ("", PIN)],
    )
    assert status == 1, shown
    assert "No certificate found." in newest.refuses("piv certificates export 9a x")
    assert re.search(r"PIN tries remaining: +2/3\n", newest("piv info"))


@pytest.mark.parametrize("version", ["4.3.7", "5.7.4"])
def test_pulled_out_while_it_waits_for_a_touch(plug: Plug, version: str) -> None:
    tables: list[CardTable] = []

    def touch() -> bool:
        if tables:
            pull_out(tables.pop())
        return True

    key = EmulatedYubiKey(FIRMWARE[version], SERIAL, touch=touch)
    ykman = plug(key)
    ykman(f"piv keys generate -m {MANAGEMENT_KEY} -a ECCP256 --touch-policy ALWAYS 9a key.pem")
    request = f"piv certificates request -s CN=x -P {PIN} 9a key.pem request.pem"
    tables.append(ykman.table)
    status, said = ykman.run(request)
    assert (status, tables) == (1, []), said
    put_back(ykman)
    ykman(request)
    assert "verify OK" in ykman.openssl("req -in request.pem -verify -noout")


@pytest.mark.parametrize("version", ["4.3.7", "5.7.4"])
def test_nobody_touches(plug: Plug, version: str) -> None:
    ykman = plug(EmulatedYubiKey(FIRMWARE[version], SERIAL, touch=lambda: False))
    ykman(f"piv keys generate -m {MANAGEMENT_KEY} -a ECCP256 --touch-policy CACHED 9a key.pem")
    request = f"piv certificates request -s CN=x -P {PIN} 9a key.pem request.pem"
    assert "generation failed" in ykman.refuses(request)
    assert "tries remaining" in ykman("piv info")


def test_a_reader_without_a_key(newest: Ykman) -> None:
    newest.table.readers[0].remove()
    newest.table.await_cards(0)
    assert str(SERIAL) not in newest("list --serials")
    newest.table.readers[0].insert()
    newest.table.readers[0].await_power(PATIENCE)
    assert newest("list --serials") == f"{SERIAL}\n"
