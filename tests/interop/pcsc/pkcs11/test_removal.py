# SPDX-License-Identifier: Apache-2.0
"""A key that is touched or not, pulled out in the middle, put back: what programs see, and what is left."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.card_table import PATIENCE, CardTable, card_table, new_key
from tests.interop.pcsc.judge import MESSAGE, judge, signed_by_pkcs11_tool
from tests.interop.pcsc.pkcs11.ssh_agent import judge_ssh, ssh_agent
from tests.interop.pcsc.stories import OPENSC, PIN, YKCS11, certificate, holder, key_pair
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT, TOUCH_POLICY

from pivgate.emulator.pcsc.reader import VirtualReader

pytestmark = pytest.mark.interop

SLOTS = {SLOT.AUTHENTICATION: KEY_TYPE.ECCP256}
MODULES = pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])


class Finger:
    """Says when the key blinks, and waits for somebody to decide what happens then."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.decided = threading.Event()
        self.touches = True

    def __call__(self) -> bool:
        self.asked.set()
        assert self.decided.wait(PATIENCE)
        return self.touches

    def decide(self, *, touches: bool) -> None:
        self.touches = touches
        self.decided.set()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Runs what has to go on beside the test."""
    with ThreadPoolExecutor() as pool:
        yield pool


def pull_out(reader: VirtualReader) -> None:
    """Pull a key out in the middle of a command: its thread goes on only when we are done."""
    threading.Thread(target=reader.remove, daemon=True).start()
    while reader.occupied:
        time.sleep(0.001)


@MODULES
def test_a_signature_waits_for_the_finger(module: str, elsewhere: ThreadPoolExecutor, tmp_path: Path) -> None:
    finger = Finger()
    alice = holder("5.4.3", SLOTS, touch_policy=TOUCH_POLICY.ALWAYS, touch=finger)
    slot, public_key = SLOT.AUTHENTICATION, alice.public_key(SLOT.AUTHENTICATION)
    with card_table(alice.yubikey) as table:
        arguments = (table, tmp_path, module, slot, "ECDSA-SHA256", public_key)
        signing = elsewhere.submit(signed_by_pkcs11_tool, *arguments)
        assert finger.asked.wait(PATIENCE)
        assert not signing.done()
        finger.decide(touches=True)
        done, signature = signing.result(PATIENCE)
        assert done.returncode == 0, done
        judge("ECDSA-SHA256", public_key, signature, tmp_path)

        finger.decide(touches=False)
        done, signature = signed_by_pkcs11_tool(*arguments)
        assert (done.returncode, signature) == (1, b""), "nobody touched it in time"


@MODULES
def test_a_key_pulled_out_while_it_signs_signs_nothing_and_is_as_before_when_it_is_back(
    module: str, elsewhere: ThreadPoolExecutor, tmp_path: Path
) -> None:
    finger = Finger()
    alice = holder("5.4.3", SLOTS, touch_policy=TOUCH_POLICY.ALWAYS, touch=finger)
    slot, public_key = SLOT.AUTHENTICATION, alice.public_key(SLOT.AUTHENTICATION)
    with card_table(alice.yubikey) as table:
        arguments = (table, tmp_path, module, slot, "ECDSA-SHA256", public_key)
        signing = elsewhere.submit(signed_by_pkcs11_tool, *arguments)
        assert finger.asked.wait(PATIENCE)
        pull_out(table.readers[0])
        finger.decide(touches=True)
        done, signature = signing.result(PATIENCE)
        assert (done.returncode, signature) == (1, b"")
        assert "error: PKCS11 function C_Sign" in done.stderr

        table.await_cards(0)
        done, _ = signed_by_pkcs11_tool(*arguments)
        assert done.returncode == 1, "there is no key"

        table.readers[0].insert()
        table.await_cards(1)
        done, signature = signed_by_pkcs11_tool(*arguments)
        assert done.returncode == 0, done
        judge("ECDSA-SHA256", public_key, signature, tmp_path)


@MODULES
def test_a_pin_lasts_until_the_key_is_pulled_out(module: str) -> None:
    alice = holder("5.4.3", SLOTS)
    public_key = alice.public_key(SLOT.AUTHENTICATION)
    with card_table(alice.yubikey) as table, ssh_agent(table) as agent:
        assert agent.add(module, PIN).returncode == 0
        done, signature = agent.sign(public_key, MESSAGE)
        judge_ssh(public_key, MESSAGE, signature)

        table.readers[0].remove()
        table.await_cards(0)
        done, signature = agent.sign(public_key, MESSAGE)
        assert (done.returncode, signature) == (255, "")

        table.readers[0].insert()
        table.await_cards(1)
        tried = table.pins()
        done, signature = agent.sign(public_key, MESSAGE)
        assert (done.returncode, signature) == (255, ""), "the agent does not keep the PIN"
        assert table.pins() == tried

        table.run("ssh-add", "-e", module)
        assert agent.add(module, PIN).returncode == 0
        done, signature = agent.sign(public_key, MESSAGE)
        assert done.returncode == 0, done
        judge_ssh(public_key, MESSAGE, signature)


def test_a_certificate_that_was_half_sent_is_not_half_written(tmp_path: Path) -> None:
    before = certificate(key_pair(KEY_TYPE.ECCP256).public_key(), "before")
    after = certificate(key_pair(KEY_TYPE.RSA2048).public_key(), "after")

    def write(table: CardTable, which: object) -> int:
        text = which.public_bytes(Encoding.PEM).decode()  # type: ignore[attr-defined]
        done = table.run("yubico-piv-tool", "-a", "import-certificate", "-s", "9a", given=text)
        return done.returncode

    yubikey = new_key("5.4.3")
    with card_table(yubikey) as table:
        assert write(table, before) == 0
        stored = yubikey.piv.state.objects[OBJECT_ID.AUTHENTICATION]
        assert before.public_bytes(Encoding.DER) in stored

        def pull_at_the_second_piece(command: bytes, reply: bytes) -> None:
            table.log.append((command, reply))
            pieces = [sent for sent, _ in table.log if sent[:2] == b"\x10\xdb"]
            if len(pieces) == 3 and command[:2] == b"\x10\xdb":
                pull_out(table.readers[0])

        yubikey.log = pull_at_the_second_piece
        assert write(table, after) == 1
        table.readers[0].insert()
        table.await_cards(1)
        assert yubikey.piv.state.objects[OBJECT_ID.AUTHENTICATION] == stored
        assert write(table, after) == 0
        assert after.public_bytes(Encoding.DER) in yubikey.piv.state.objects[OBJECT_ID.AUTHENTICATION]


def test_programs_say_that_no_key_is_there_and_wait_for_one(elsewhere: ThreadPoolExecutor) -> None:
    with card_table(new_key("5.4.3"), insert=False) as table:
        assert table.cards_seen() == 0
        assert "(empty)" in table.run("pkcs11-tool", "--module", OPENSC, "--list-slots").stdout
        assert table.run("piv-tool", "--name").stderr == "Card not present.\n"
        done = table.run("yubico-piv-tool", "-a", "status")
        assert (done.returncode, "Failed to connect to yubikey" in done.stderr) == (1, True), done

        waiting = elsewhere.submit(table.run, "opensc-tool", "--wait", "--name")
        for _ in range(10):
            table.readers[0].insert()
            # It misses a key that comes between its look at the reader and its waiting.
            with suppress(TimeoutError):
                waiting.result(PATIENCE / 5)
                break
            table.readers[0].remove()
            table.await_cards(0)
        done = waiting.result(0)
        assert done.returncode == 0, done
        assert "Personal Identity Verification Card" in done.stdout
