# SPDX-License-Identifier: Apache-2.0
"""Loads a PKCS#11 module as a browser does and prints, as JSON, what it offers; a program of its own.

A module is foreign code that can crash or hang, so ``ask_module`` runs this beside us, with a time limit. It
stands on the standard library alone. Names and numbers are those of PKCS#11 v2.40, ``pkcs11t.h`` and
``pkcs11f.h``. On Windows the structures are packed, which is not provided for here.
"""

import ctypes
import json
import os
import resource
import sys
from typing import Any

# The place of each function in CK_FUNCTION_LIST, after its version.
_INITIALIZE, _FINALIZE, _GET_INFO, _GET_SLOT_LIST, _GET_TOKEN_INFO = 0, 1, 2, 4, 6
_OPEN_SESSION, _CLOSE_SESSION, _GET_ATTRIBUTE_VALUE = 12, 13, 24
_FIND_INIT, _FIND, _FIND_FINAL = 26, 27, 28

_NAMES = {
    _INITIALIZE: "C_Initialize",
    _FINALIZE: "C_Finalize",
    _GET_INFO: "C_GetInfo",
    _GET_SLOT_LIST: "C_GetSlotList",
    _GET_TOKEN_INFO: "C_GetTokenInfo",
    _OPEN_SESSION: "C_OpenSession",
    _CLOSE_SESSION: "C_CloseSession",
    _GET_ATTRIBUTE_VALUE: "C_GetAttributeValue",
    _FIND_INIT: "C_FindObjectsInit",
    _FIND: "C_FindObjects",
    _FIND_FINAL: "C_FindObjectsFinal",
}

_SERIAL_SESSION = 0x4
_NOT_RECOGNIZED = 0xE1
_CLASS, _VALUE, _CERTIFICATE = 0x0, 0x11, 1
_MOST = 64

_ULong = ctypes.c_ulong
_FunctionList = ctypes.c_void_p * 69


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte))


class _Functions(ctypes.Structure):
    _fields_ = (("version", _Version), ("entries", _FunctionList))


class _Info(ctypes.Structure):
    _fields_ = (
        ("cryptoki", _Version),
        ("manufacturer", ctypes.c_char * 32),
        ("flags", _ULong),
        ("description", ctypes.c_char * 32),
        ("library", _Version),
    )


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char * 32),
        ("manufacturer", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial", ctypes.c_char * 16),
        ("flags", _ULong),
        ("numbers", _ULong * 10),
        ("hardware", _Version),
        ("firmware", _Version),
        ("time", ctypes.c_char * 16),
    )


class _Attribute(ctypes.Structure):
    _fields_ = (("type", _ULong), ("value", ctypes.c_void_p), ("length", _ULong))


class _ModuleError(Exception):
    """A function of the module did not return CKR_OK."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function} returned 0x{code:x}")
        self.code = code


class _Module:
    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        functions = ctypes.POINTER(_Functions)()
        code = library.C_GetFunctionList(ctypes.byref(functions))
        if code or not functions:
            raise _ModuleError("C_GetFunctionList", code)
        self._entries = functions.contents.entries

    def call(self, place: int, *arguments: Any) -> None:
        function = ctypes.CFUNCTYPE(_ULong)(self._entries[place])
        function.argtypes = None  # type: ignore[assignment] # as for any function of a library
        if code := function(*arguments):
            raise _ModuleError(_NAMES[place], code)


def ask(path: str) -> dict[str, Any]:
    """Load a module, list its tokens and the certificates that it shows without a PIN.

    Args:
        path: The module.
    """
    module = _Module(path)
    module.call(_INITIALIZE, None)
    try:
        info = _Info()
        module.call(_GET_INFO, ctypes.byref(info))
        tokens = [_token(module, slot) for slot in _slots(module)]
        return {"description": _text(info.description), "tokens": tokens}
    finally:
        module.call(_FINALIZE, None)


def _slots(module: _Module) -> list[int]:
    slots, number = (_ULong * _MOST)(), _ULong(_MOST)
    module.call(_GET_SLOT_LIST, ctypes.c_ubyte(1), slots, ctypes.byref(number))
    return list(slots[: number.value])


def _token(module: _Module, slot: int) -> dict[str, Any]:
    info = _TokenInfo()
    module.call(_GET_TOKEN_INFO, _ULong(slot), ctypes.byref(info))
    session = _ULong()
    try:
        module.call(_OPEN_SESSION, _ULong(slot), _ULong(_SERIAL_SESSION), None, None, ctypes.byref(session))
    except _ModuleError as error:
        # A blank token, which nobody has prepared.
        if error.code != _NOT_RECOGNIZED:
            raise
        return {"label": _text(info.label), "certificates": []}
    try:
        certificates = [_value(module, session, each).hex() for each in _certificates(module, session)]
    finally:
        module.call(_CLOSE_SESSION, session)
    return {"label": _text(info.label), "certificates": certificates}


def _certificates(module: _Module, session: ctypes.c_ulong) -> list[int]:
    wanted = _ULong(_CERTIFICATE)
    template = _Attribute(_CLASS, ctypes.addressof(wanted), ctypes.sizeof(wanted))
    module.call(_FIND_INIT, session, ctypes.byref(template), _ULong(1))
    found, number = (_ULong * _MOST)(), _ULong()
    module.call(_FIND, session, found, _ULong(_MOST), ctypes.byref(number))
    module.call(_FIND_FINAL, session)
    return list(found[: number.value])


def _value(module: _Module, session: ctypes.c_ulong, item: int) -> bytes:
    attribute = _Attribute(_VALUE, None, 0)
    module.call(_GET_ATTRIBUTE_VALUE, session, _ULong(item), ctypes.byref(attribute), _ULong(1))
    buffer = ctypes.create_string_buffer(attribute.length)
    attribute.value = ctypes.addressof(buffer)
    module.call(_GET_ATTRIBUTE_VALUE, session, _ULong(item), ctypes.byref(attribute), _ULong(1))
    return buffer.raw[: attribute.length]


def _text(padded: bytes) -> str:
    return padded.decode(errors="replace").rstrip()


def _main() -> None:
    # A crash leaves no image of our memory behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What the module itself prints must not get into the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        found = ask(sys.argv[1])
    except (OSError, AttributeError, _ModuleError) as error:
        found = {"error": str(error)}
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    _main()
