# SPDX-License-Identifier: Apache-2.0
"""Firefox's own remote control, Marionette, from its side of the socket.

A message is its length in bytes, a colon and JSON. A command is ``[0, number, name, parameters]``, its reply
``[1, number, error, result]`` (Firefox source docs, "Testing: Marionette: Protocol").
"""

import base64
import json
import socket
from typing import Any, Self

PATIENCE = 30.0
"""Seconds for one reply. While a dialog is open nobody answers, and that must not last for ever."""


class MarionetteError(RuntimeError):
    """Firefox refused a command, or its script failed; the message says why."""


class Marionette:
    """A session with a running Firefox.

    Args:
        port: Where its Marionette listens on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._receive()  # its greeting
        # Dialogs are answered inside Firefox; Marionette would dismiss a PIN prompt that it comes across.
        self.command("WebDriver:NewSession", unhandledPromptBehavior="ignore")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def command(self, name: str, **parameters: Any) -> Any:
        """Have a command carried out and return its result.

        Raises:
            MarionetteError: It failed.
            OSError: Firefox does not answer.
        """
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        while True:
            kind, number, error, result = self._receive()
            if kind == 1 and number == self._number:
                break
        if error:
            raise MarionetteError(f"{name}: {error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def chrome(self, script: str, *arguments: Any) -> Any:
        """Run a script with the browser's own rights and return what it returns."""
        return self._script("chrome", "WebDriver:ExecuteScript", script, arguments)

    def chrome_async(self, script: str, *arguments: Any) -> Any:
        """Run such a script, whose last argument is a function to hand the result to."""
        return self._script("chrome", "WebDriver:ExecuteAsyncScript", script, arguments)

    def page(self, script: str, *arguments: Any) -> Any:
        """Run a script inside the page."""
        return self._script("content", "WebDriver:ExecuteScript", script, arguments)

    def page_async(self, script: str, *arguments: Any) -> Any:
        """Run a script inside the page, whose last argument is a function to hand the result to."""
        return self._script("content", "WebDriver:ExecuteAsyncScript", script, arguments)

    def picture(self) -> bytes:
        """Return a PNG of the browser's window with the page in it."""
        # Without the stripes of a browser that is under remote control.
        self.chrome("document.documentElement.removeAttribute('remotecontrol')")
        return base64.b64decode(self.command("WebDriver:TakeScreenshot", full=False))

    def _script(self, context: str, kind: str, script: str, arguments: tuple[Any, ...]) -> Any:
        self.command("Marionette:SetContext", value=context)
        sandbox = "system" if context == "chrome" else "default"
        return self.command(kind, script=script, args=list(arguments), sandbox=sandbox)

    def _receive(self) -> Any:
        length = b""
        while (character := self._stream.read(1)) != b":":
            if not character:
                raise ConnectionResetError("Firefox has hung up")
            length += character
        return json.loads(self._stream.read(int(length)))
