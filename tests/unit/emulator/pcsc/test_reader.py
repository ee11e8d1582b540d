# SPDX-License-Identifier: Apache-2.0
"""A reader's slot, spoken to as pcscd's driver does, and as nobody should."""

import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.emulator.firmware import FIRMWARE
from pivgate.emulator.pcsc.reader import VirtualReader
from pivgate.emulator.yubikey import EmulatedYubiKey

ATR = FIRMWARE["5.7.4"].atr
SELECT_PIV = bytes.fromhex("00A4040005A000000308")
SELECT_MANAGEMENT = bytes.fromhex("00A4040008A000000527471117")
VERIFY = bytes.fromhex("0020008008313233343536FFFF")
ASK_PIN = bytes.fromhex("00200080")
# DEVICE CONFIG with applications (OTP off) and the wish to restart.
RESTART = bytes.fromhex("001C0000 07 06 0302033E 0C00")
PATIENCE = 5.0


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pgr"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def reader(folder: Path) -> Iterator[VirtualReader]:
    made = VirtualReader(folder / "0.sock", EmulatedYubiKey(FIRMWARE["5.7.4"], 7))
    yield made
    made.remove()


class Driver:
    """The other side of the socket."""

    def __init__(self, reader: VirtualReader) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(reader.path))

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_arguments: object) -> None:
        self.socket.close()

    def tell(self, message: bytes) -> None:
        self.socket.sendall(len(message).to_bytes(2, "big") + message)

    def ask(self, message: bytes) -> bytes | None:
        """Say something and return the answer; None when the other side hangs up."""
        self.tell(message)
        head = self.exactly(2)
        return None if head is None else self.exactly(int.from_bytes(head, "big"))

    def exactly(self, length: int) -> bytes | None:
        data = b""
        while len(data) < length:
            try:
                piece = self.socket.recv(length - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data


def test_an_empty_slot_has_no_socket(reader: VirtualReader) -> None:
    assert not reader.path.exists()
    assert not reader.occupied
    reader.insert()
    assert reader.occupied
    reader.remove()
    assert not reader.path.exists()
    assert not reader.occupied
    reader.remove()


def test_only_its_owner_may_connect(reader: VirtualReader) -> None:
    before = os.umask(0)
    try:
        reader.insert()
    finally:
        os.umask(before)
    mode = reader.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_power_commands_and_reset(reader: VirtualReader) -> None:
    reader.insert()
    with pytest.raises(TimeoutError):
        reader.await_power(0)
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
        reader.await_power(PATIENCE)
        assert driver.ask(b"C" + SELECT_PIV)[-2:] == b"\x90\0"  # type: ignore[index]
        assert driver.ask(b"C" + VERIFY) == b"\x90\0"
        assert driver.ask(b"C" + ASK_PIN) == b"\x90\0"
        assert driver.ask(b"C") == b"\x67\0"
        assert driver.ask(b"R") == ATR
        driver.ask(b"C" + SELECT_PIV)
        assert driver.ask(b"C" + ASK_PIN) == b"\x63\xc3", "forgotten by the reset"
        driver.ask(b"C" + VERIFY)
        driver.tell(b"O")
        assert driver.ask(b"C" + ASK_PIN) == b"\x6d\0", "without power nothing stays selected"


def test_whoever_comes_next_finds_nothing_proved(reader: VirtualReader) -> None:
    reader.insert()
    with Driver(reader) as first, Driver(reader) as second:
        first.ask(b"C" + SELECT_PIV)
        first.ask(b"C" + VERIFY)
        second.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            second.ask(b"C" + ASK_PIN)
        first.socket.close()
        second.socket.settimeout(PATIENCE)
        assert second.exactly(4) == b"\0\2\x6d\0"


@pytest.mark.parametrize(
    "frame",
    [
        b"\0\0",
        b"\0\1X",
        b"\0\0\0\1P",
        b"\0\5X" + SELECT_PIV[:4],
        b"\0\1\0",
        b"GET / HTTP/1.1\r\n\r\n" + bytes(0x4745),
    ],
    ids=["empty", "unknown", "empty, then power", "unknown with data", "zero", "HTTP"],
)
def test_whoever_talks_nonsense_is_hung_up_on(reader: VirtualReader, frame: bytes) -> None:
    reader.insert()
    with Driver(reader) as driver:
        driver.socket.sendall(frame)
        assert driver.exactly(1) is None
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR


@pytest.mark.parametrize("frame", [b"", b"\0", b"\0\7C", b"\xff\xffC" + bytes(100)])
def test_half_a_message_is_none(reader: VirtualReader, frame: bytes) -> None:
    reader.insert()
    commands: list[bytes] = []
    reader.yubikey.log = lambda command, _reply: commands.append(command)
    with Driver(reader) as driver:
        driver.socket.sendall(frame)
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
    assert commands == []


def test_the_longest_message_is_answered(reader: VirtualReader) -> None:
    reader.insert()
    with Driver(reader) as driver:
        assert driver.ask(b"C" + bytes(65534)) == b"\x67\0"


def test_what_is_in_the_way_of_the_socket(reader: VirtualReader) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(reader.path))
    left.close()
    reader.insert()
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR, "one that a killed process left is replaced"
    reader.remove()
    reader.path.mkdir()
    with pytest.raises(OSError, match="directory|permitted"):
        reader.insert()
    assert not reader.occupied
    reader.path.rmdir()
    reader.insert()
    assert reader.occupied


def test_a_path_that_is_too_long_for_a_socket(folder: Path) -> None:
    reader = VirtualReader(folder / ("x" * 100), EmulatedYubiKey(FIRMWARE["5.7.4"], 7))
    with pytest.raises(OSError, match="too long"):
        reader.insert()
    assert not reader.occupied
    reader.remove()


def test_pulled_out_in_the_middle_of_a_command(folder: Path) -> None:
    blinking, touched = threading.Event(), threading.Event()

    def wait(_command: bytes, _reply: bytes) -> None:
        blinking.set()
        assert touched.wait(PATIENCE)

    reader = VirtualReader(folder / "0.sock", EmulatedYubiKey(FIRMWARE["5.7.4"], 7))
    reader.insert()
    reader.yubikey.log = wait
    with Driver(reader) as driver:
        driver.tell(b"C" + SELECT_PIV)
        assert blinking.wait(PATIENCE)
        hand = threading.Thread(target=reader.remove)
        hand.start()
        assert driver.exactly(1) is None, "at once, while the command is still at work"
        assert not reader.path.exists()
        other = threading.Thread(target=reader.insert)
        other.start()
        touched.set()
        hand.join(PATIENCE)
        other.join(PATIENCE)
    assert (reader.yubikey.inserted, reader.yubikey.insertions, reader.occupied) == (True, 2, True)
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
    reader.remove()
    assert not reader.yubikey.inserted


def test_no_answer_comes_from_an_empty_slot(reader: VirtualReader) -> None:
    def pull_out(_command: bytes, _reply: bytes) -> None:
        threading.Thread(target=reader.remove).start()
        while reader.occupied:
            pass

    for _ in range(20):
        reader.yubikey.log = None
        reader.insert()
        with Driver(reader) as driver:
            reader.yubikey.log = pull_out
            assert driver.ask(b"C" + SELECT_PIV) is None


def test_hands_that_pull_and_plug_at_once_leave_no_half_a_key(reader: VirtualReader) -> None:
    def fidget(act: int) -> None:
        for _ in range(30):
            reader.remove() if act % 2 else reader.insert()

    hands = [threading.Thread(target=fidget, args=(number,)) for number in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(PATIENCE)
    assert reader.occupied == reader.yubikey.inserted
    reader.insert()
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
        assert driver.ask(b"C" + SELECT_PIV)[-2:] == b"\x90\0"  # type: ignore[index]


def test_plugging_in_and_out_leaks_nothing(reader: VirtualReader) -> None:
    def use() -> None:
        reader.insert()
        with Driver(reader) as driver:
            driver.ask(b"P")
        reader.remove()

    use()
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(30):
        use()
    deadline = time.monotonic() + PATIENCE
    while sum(thread.name.endswith("(_serve)") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "threads are left"
        time.sleep(0.01)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= files


def test_a_reply_that_could_not_be_stored_is_not_given(reader: VirtualReader) -> None:
    def full() -> None:
        raise OSError("No space left on device")

    reader.insert()
    with Driver(reader) as driver:
        driver.ask(b"C" + SELECT_PIV)
        reader.yubikey.store = full
        assert driver.ask(b"C" + VERIFY) is None
    reader.yubikey.store = None
    with Driver(reader) as driver:
        driver.ask(b"C" + SELECT_PIV)
        assert driver.ask(b"C" + ASK_PIN) == b"\x63\xc3"


def restart(reader: VirtualReader) -> None:
    """Have the key restart, and wait until it has gone."""
    reader.insert()
    with Driver(reader) as driver:
        driver.ask(b"C" + SELECT_MANAGEMENT)
        assert driver.ask(b"C" + RESTART) == b"\x90\0"
        assert driver.exactly(1) is None
    assert reader.yubikey.insertions == 2


def test_a_key_that_restarts_goes_and_comes_back(reader: VirtualReader) -> None:
    restart(reader)
    assert not reader.path.exists()
    with pytest.raises(TimeoutError):
        reader.await_power(0)
    deadline = time.monotonic() + PATIENCE
    while not (reader.path.exists() and reader.occupied):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
    reader.await_power(PATIENCE)


def test_a_key_pulled_out_while_it_restarts_stays_out(
    reader: VirtualReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivgate.emulator.pcsc.reader.RESTART", 0.1)
    restart(reader)
    reader.remove()
    time.sleep(0.3)
    assert not reader.occupied
    reader.insert()
    assert reader.occupied


def test_a_key_put_back_while_it_restarts_is_there_once(
    reader: VirtualReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivgate.emulator.pcsc.reader.RESTART", 0.1)
    restart(reader)
    reader.remove()
    reader.insert()
    with Driver(reader) as driver:
        assert driver.ask(b"P") == ATR
        time.sleep(0.3)
        assert driver.ask(b"R") == ATR, "nobody took its place"


def test_a_key_without_its_smart_card_side_is_not_seen(folder: Path) -> None:
    yubikey = EmulatedYubiKey(FIRMWARE["4.3.7"], 7)
    reader = VirtualReader(folder / "0.sock", yubikey)
    yubikey.transmit(SELECT_MANAGEMENT)
    assert yubikey.transmit(bytes.fromhex("001611000403000000")) == b"\x90\0", "OTP and FIDO only"
    reader.insert()
    assert yubikey.inserted
    assert not reader.occupied
    reader.remove()
