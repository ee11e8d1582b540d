# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 module is foreign code: whatever it does, we say so and go on."""

import os
import subprocess
from pathlib import Path

import pytest

from pivgate.browser.ask_module import ask_module
from pivgate.errors import DeviceError

SOURCES = {
    "crashes": "unsigned long C_GetFunctionList(void **l) { *(volatile int *)0 = 1; return 0; }",
    "hangs": "#include <unistd.h>\nunsigned long C_GetFunctionList(void **l) { for (;;) pause(); }",
    "exits": "#include <stdlib.h>\nunsigned long C_GetFunctionList(void **l) { exit(3); }",
    "refuses": "unsigned long C_GetFunctionList(void **l) { return 0x54; }",
    "gives nothing": "unsigned long C_GetFunctionList(void **l) { *l = 0; return 0; }",
    "is no module": "int unrelated;",
    "fails to begin": """
        static unsigned long fail(void *a) { return 0x30; }
        static struct { unsigned char major, minor; void *entries[68]; } list = { 2, 40, { fail } };
        unsigned long C_GetFunctionList(void **l) { *l = &list; return 0; }""",
}
WORDS = {
    "crashes": "it crashed \\(SIGSEGV\\)",
    "hangs": "does not answer within 1 s",
    "exits": "ended with status 3",
    "refuses": "C_GetFunctionList returned 0x54",
    "gives nothing": "C_GetFunctionList returned 0x0",
    "is no module": "undefined symbol: C_GetFunctionList",
    "fails to begin": "C_Initialize returned 0x30",
}


@pytest.mark.parametrize("what", SOURCES)
def test_a_module_that_misbehaves_is_named_with_the_reason(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, library = tmp_path / "module.c", tmp_path / "module.so"
    source.write_text(SOURCES[what])
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(DeviceError, match=WORDS[what]) as caught:
        ask_module(str(library), os.environ, seconds=1.0 if what == "hangs" else 20.0)
    assert str(library) in caught.value.message
    assert "--module" in caught.value.hint
    assert sorted(tmp_path.iterdir()) == [source, library], "a crash leaves nothing behind"


@pytest.mark.parametrize("data", [b"", b"no library"])
def test_a_file_that_is_no_library_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_bytes(data)
    with pytest.raises(DeviceError, match="cannot be used"):
        ask_module(str(tmp_path / "module.so"), os.environ)
