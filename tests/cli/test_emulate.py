# SPDX-License-Identifier: Apache-2.0
"""``pivgate emulate`` as a person uses it, judged by ykman, OpenSC and pcscd themselves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pivgate.cli.emulate_keys import FIRMWARES
from pivgate.emulator.firmware import FIRMWARE

PIVGATE = [sys.executable, "-m", "pivgate"]


def emulate(
    *words: str | Path, given: str = "", environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*PIVGATE, "emulate", *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **(environment or {})},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def running(*words: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run it until the test is done; yield the process and the environment that it printed."""
    process = subprocess.Popen(
        [*PIVGATE, "emulate", "--json", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    text = ""
    try:
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            line = process.stdout.readline()
            assert line, text
            text += line
        yield process, {**os.environ, **json.loads(text)["environment"]}
    finally:
        process.kill()
        # What was written and not read is of no use to anybody.
        with suppress(BrokenPipeError):
            process.communicate()


def serials(environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        ["ykman", "list", "--serials"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    return done.stdout.split()


def test_the_firmwares_offered_are_those_that_there_are() -> None:
    assert set(FIRMWARES) == set(FIRMWARE)


def test_a_command_sees_the_keys_and_its_exit_status_is_passed_on() -> None:
    done = emulate("--firmware", "5.4.3", "--serial", "700", "--keys", "2", "ykman", "list", "--serials")
    assert done.stdout.split() == ["700", "701"]
    assert emulate("sh", "-c", "exit 3").returncode == 3
    assert emulate("sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_a_command_begins_with_the_keys_seen() -> None:
    listed = emulate("--keys", "3", "opensc-tool", "--list-readers").stdout
    assert [line.split()[1] for line in listed.splitlines()[2:]] == ["Yes"] * 3


def test_a_key_in_a_file_stays_as_it_was_left(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    made = ["--state", file, "--firmware", "4.3.7", "--serial", "4000001"]
    assert (
        emulate(*made, "ykman", "piv", "access", "change-pin", "-P", "123456", "-n", "246813").returncode == 0
    )
    assert file.stat().st_mode & 0o777 == 0o600
    again = emulate("--state", file, "ykman", "piv", "access", "change-pin", "-P", "246813", "-n", "135791")
    assert again.returncode == 0
    assert emulate("--state", file, "ykman", "list", "--serials").stdout.split() == ["4000001"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--firmware", "5.4.3"], "firmware 5.7.4, not 5.4.3"),
        (["--state", "KEY"], "Two of the files keep the same key"),
        (["--state", "OPEN"], "has mode 0644"),
        (["--state", "OTHER"], "is not an emulated key"),
        (["--state", "missing/folder"], "Cannot use"),
        (["--keys", "17"], "17"),
        (["--serial", "0"], "0"),
    ],
)
def test_what_cannot_be_is_refused_with_words(tmp_path: Path, words: list[str], message: str) -> None:
    key = tmp_path / "KEY"
    assert emulate("--state", key, "true").returncode == 0
    (tmp_path / "OPEN").write_bytes(key.read_bytes())
    (tmp_path / "OPEN").chmod(0o644)
    (tmp_path / "OTHER").write_text("{}")
    (tmp_path / "OTHER").chmod(0o600)
    named = [str(tmp_path / word) if word.isupper() or "/" in word else word for word in words]
    done = emulate("--state", key, *named, "true")
    assert done.returncode in (2, 8)
    assert message in done.stderr


def test_a_command_that_is_not_there_is_named() -> None:
    done = emulate("no-such-program")
    assert done.returncode == 5
    assert "Cannot run no-such-program" in done.stderr


def test_keys_go_and_come_as_they_are_told(tmp_path: Path) -> None:
    with running("--keys", "2", "--serial", "700") as (process, environment):
        assert process.stdin is not None
        assert process.stdout is not None
        assert serials(environment) == ["700", "701"]
        process.stdin.write("remove 700\nstatus\n")
        process.stdin.flush()
        assert "  700  firmware 5.7.4  pulled out\n" in (process.stdout.readline(), process.stdout.readline())
        time.sleep(0.5)
        assert serials(environment) == ["701"]
        process.stdin.write("insert\n")
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while serials(environment) != ["700", "701"]:
            assert time.monotonic() < deadline


def test_keys_may_begin_pulled_out() -> None:
    done = emulate("--removed", given="status\ninsert 31000001\nnonsense\nremove 5\nquit\n")
    states = [line.split()[-2:] for line in done.stdout.splitlines() if line.startswith("  31000001")]
    assert states == [["pulled", "out"], ["pulled", "out"], ["its", "reader"]]
    assert done.stderr.count("is not understood") == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_its_service_ends_with_it(how: signal.Signals) -> None:
    with running() as (process, environment):
        folder = Path(environment["PCSCLITE_CSOCK_NAME"]).parent
        pcscd = int((folder / "pcscd.pid").read_text().strip("\0\n"))
        os.kill(process.pid, how)
        status = process.wait(30)
        assert status == (-9 if how is signal.SIGKILL else 0)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pcscd}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert folder.exists() == (how is signal.SIGKILL)


def test_the_apdu_log_names_commands_and_shows_no_pin(tmp_path: Path) -> None:
    log = tmp_path / "apdus"
    done = emulate(
        *("--apdu-log", log, "ykman", "piv", "access", "change-pin", "-P", "123456", "-n", "246813")
    )
    assert done.returncode == 0
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "31000001 " in text
    assert "SELECT" in text
    for secret in ("123456", "246813"):
        assert secret not in text
        assert secret.encode().hex() not in text.lower()


# --- Behind the machine's service, in a namespace where the machine's folders are this test's -------

MACHINE = """
mount --make-rprivate / && mount -t tmpfs none /run && mkdir /run/pcscd || exit 1
mount -t tmpfs none /etc/reader.conf.d && mount -t tmpfs none /usr/local/lib || exit 1
"$@"
echo "left: $(ls -A /etc/reader.conf.d) $(ls /run/pivgate-emulated 2>&1 | grep -v 'No such')"
"""


def on_a_machine(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", MACHINE, "sh", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "PYTHON": sys.executable},
    )


def test_keys_behind_the_machines_service_need_no_environment() -> None:
    done = on_a_machine(*PIVGATE, "emulate", "--machine", "env", "-u", "PCSCLITE_CSOCK_NAME", "ykman", "list")
    assert "Serial: 31000001" in done.stdout, done
    assert done.stdout.splitlines()[-1].strip() == "left:"


def test_a_service_that_nobody_but_the_person_can_restart_is_not_touched() -> None:
    script = 'pcscd --foreground & sleep 0.5; "$@"; kill $!'
    done = on_a_machine("sh", "-c", script, "sh", *PIVGATE, "emulate", "--machine", "true")
    assert "nobody but you can restart it" in done.stderr, done
    assert done.stdout.splitlines()[-1].strip() == "left:"


def test_only_root_adds_to_the_machines_service() -> None:
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", *PIVGATE, "emulate", "--machine", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            name: value
            for name, value in {**os.environ, "HOME": "/nonexistent"}.items()
            if not name.startswith("COVERAGE")
        },
    )
    assert done.returncode == 5, done
    assert "Only root" in done.stderr
