# SPDX-License-Identifier: Apache-2.0
"""A card reader's slot: the unix socket on which an emulated key answers pcscd's driver (``driver.c``)."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from pivgate.emulator.yubikey import EmulatedYubiKey

_POWER_UP, _RESET, _POWER_DOWN, _COMMAND = _MESSAGES = (b"P", b"R", b"O", b"C")

RESTART = 0.6
"""Seconds for which a key that restarts is gone, as real ones are."""


class VirtualReader:
    """A slot that is empty until ``insert``.

    Args:
        path: Where the driver looks for a card; at most 107 bytes long. Its folder says who may look.
        yubikey: The key that belongs into this slot.

    Attributes:
        yubikey: The key; its ``log``, ``store`` and touch are the owner's to set.
    """

    def __init__(self, path: Path, yubikey: EmulatedYubiKey) -> None:
        self.path = path
        self.yubikey = yubikey
        # Nobody plugs a key in that somebody else is pulling out.
        self._hand = threading.Lock()
        # The key is not made for two threads: the one that answers and the one that pulls it out.
        self._key_lock = threading.Lock()
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._powered = threading.Event()

    @property
    def occupied(self) -> bool:
        """Whether pcscd can see a card."""
        return self._listener is not None

    def insert(self) -> None:
        """Plug the key in; pcscd sees it within 0.1 seconds. A key with its smart card side off stays unseen.

        Raises:
            OSError: The socket cannot be made.
        """
        with self._hand, self._lock:
            if self._listener is not None:
                return
            with self._key_lock:
                self.yubikey.insert()
            if self.yubikey.visible:
                self._listen()

    def await_power(self, patience: float) -> None:
        """Wait until pcscd has seen the key that was inserted, or has restarted, and has given it power.

        Args:
            patience: Seconds.

        Raises:
            TimeoutError: It has not.
        """
        if not self._powered.wait(patience):
            raise TimeoutError(f"pcscd has not seen the key at {self.path}")

    def remove(self) -> None:
        """Pull the key out, in the middle of a command too; pcscd sees that within 0.1 seconds."""
        with self._hand:
            with self._lock:
                self._stop_listening()
            with self._key_lock:
                self.yubikey.remove()

    def _listen(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            # Before it listens, so that nobody else is ever let in.
            self.path.chmod(0o600)
            listener.listen(1)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._powered.clear()
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        self.path.unlink(missing_ok=True)
        for each in (self._connection, self._listener):
            if each is not None:
                # Closing alone would not wake the thread that waits in accept or recv.
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        # Only now, so that no answer comes from a slot that says it is empty.
        self._connection = self._listener = None

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    connection.close()
                    return
                self._connection = connection
            with suppress(OSError), connection:
                self._answer(connection, listener)
            # pcscd has gone, and power with it.
            with self._key_lock:
                if self._listener is listener:
                    self.yubikey.card.reset()

    def _answer(self, connection: socket.socket, listener: socket.socket) -> None:
        while message := _receive(connection):
            what, apdu = message[:1], message[1:]
            if what not in _MESSAGES:
                return
            with self._key_lock:
                if self._listener is not listener:
                    return
                insertion = self.yubikey.insertions
                reply = self._react(what, apdu)
                restarted = self.yubikey.insertions != insertion
            if restarted:
                # Before anybody can know of it and wait for the key.
                self._powered.clear()
            if reply is not None:
                connection.sendall(len(reply).to_bytes(2, "big") + reply)
            if what == _POWER_UP:
                self._powered.set()
            if restarted:
                self._restart(listener)
                return

    def _react(self, what: bytes, apdu: bytes) -> bytes | None:
        if what == _COMMAND:
            return self.yubikey.transmit(apdu)
        self.yubikey.card.reset()
        return self.yubikey.card.atr if what in (_POWER_UP, _RESET) else None

    def _restart(self, listener: socket.socket) -> None:
        """Go and come back, as a key does whose USB configuration was changed."""
        with self._lock:
            if self._listener is not listener:
                return
            self._stop_listening()
        time.sleep(RESTART)
        with self._lock:
            # Unless it was pulled out or put back meanwhile.
            if self.yubikey.visible and not self.occupied:
                self._listen()


def _receive(connection: socket.socket) -> bytes:
    """Return the next message; nothing when the other side has hung up, or says nothing."""
    head = _exactly(connection, 2)
    return _exactly(connection, int.from_bytes(head, "big"))


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            return b""
        data += piece
    return data
