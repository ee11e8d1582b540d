# SPDX-License-Identifier: Apache-2.0
"""Where secrets may come from, and that they come from nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from pivgate.cli.secrets import PASSPHRASE
from pivgate.errors import PivgateError
file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
try:
    print(repr(PASSPHRASE.ask(file, new=sys.argv[1] == "new")))
except PivgateError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


def ask(
    *arguments: str, given: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        input=given,
        capture_output=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )


def test_a_file_gives_its_content_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse \n")
    assert ask("old", str(tmp_path / "secret")).stdout == b"'correct horse '\n"


def test_standard_input_gives_one_line() -> None:
    assert ask("old", "-", given=b"first\r\nsecond\n").stdout == b"'first'\n"


def test_a_credential_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "pivgate-passphrase").write_text("from systemd")
    assert ask("old", environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).stdout == b"'from systemd'\n"


def test_a_file_wins_over_the_credential_directory(tmp_path: Path) -> None:
    (tmp_path / "pivgate-passphrase").write_text("from systemd")
    (tmp_path / "file").write_text("from file")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert ask("old", str(tmp_path / "file"), environment=environment).stdout == b"'from file'\n"


def test_nobody_to_ask_names_the_ways() -> None:
    said = ask("old").stdout.decode()
    assert said.startswith("SecretError The passphrase of the authority's key is needed")
    assert "--passphrase-file" in said
    assert "pivgate-passphrase" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "is not UTF-8"), (b"x" * 5000, "longer than 4096 bytes")],
    ids=["not UTF-8", "endless"],
)
def test_what_cannot_be_a_secret_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert message in ask("old", str(tmp_path / "secret")).stdout.decode()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert b"Cannot read" in ask("old", str(tmp_path / "nothing")).stdout


def prompt(kind: str, *answers: str) -> str:
    """Answer the prompts on a terminal; return all that the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, kind])  # noqa: S606
    shown = b""
    waiting = list(answers)
    while True:
        try:
            data = os.read(terminal, 1000)
        except OSError:  # the other side has closed its terminal
            break
        shown += data
        if waiting and shown.endswith(b": "):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.close(terminal)
    os.waitpid(process, 0)
    return shown.decode()


def test_a_prompt_does_not_show_what_is_typed() -> None:
    shown = prompt("old", "hunter2hunter2")
    assert shown.count("hunter2hunter2") == 1
    assert "'hunter2hunter2'" in shown


def test_a_new_secret_is_asked_for_twice() -> None:
    shown = prompt("new", "one", "two", "three", "three")
    assert "do not match" in shown
    assert "'three'" in shown
