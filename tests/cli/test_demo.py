# SPDX-License-Identifier: Apache-2.0
"""The demo tells its story, leaves nothing behind however it ends, and stays when it is asked to."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.cli.demo_story import Story
from pivgate.errors import GateError, RefusedError


@pytest.fixture
def place() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="pg"))
    yield root
    for pid in of_this_place(root):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(root)


def start(place: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pivgate", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place), "NO_COLOR": "1"},
    )


def of_this_place(place: Path) -> list[int]:
    """Processes that the demo has started, by the temporary folder in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"TMPDIR={place}".encode() in variables:
            found.append(int(path.parent.name))
    return found


def test_everything_comes_out_as_expected_and_nothing_is_left(place: Path) -> None:
    demo = start(place)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, out + err
    assert "BAD" not in out
    assert int(re.findall(r"(\d+) lines, all as expected", out)[0]) == out.count("  ok ")
    assert list(place.iterdir()) == []
    assert of_this_place(place) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", ["An authority", "Requests through", "Access ends"])
def test_interrupted_it_leaves_nothing(place: Path, number: signal.Signals, after: str) -> None:
    demo = start(place)
    assert demo.stdout is not None
    for line in demo.stdout:
        if after in line:
            break
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert list(place.iterdir()) == []
    assert of_this_place(place) == []


def test_kept_it_can_be_looked_at_and_ended_as_it_says(place: Path) -> None:
    demo = start(place, "--keep")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, out + err
    home, end = re.findall(r"pivgate --home (\S+) status", out)[0], out.strip().splitlines()[-1]
    pivgate = f"{sys.executable} -m pivgate"
    subprocess.run([*pivgate.split(), "--home", home, "audit", "verify"], check=True)
    assert len(of_this_place(place)) == 2
    subprocess.run(["bash", "-c", end.replace("pivgate --home", f"{pivgate} --home")], check=True)
    assert of_this_place(place) == []
    assert list(place.iterdir()) == []


def raising(error: Exception) -> str:
    raise error


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("200", RefusedError("no")),
        # Somebody who is not there has not refused anybody.
        ("refused", GateError("Nobody answers: Connection refused")),
        ("403", GateError("the connection broke")),
    ],
)
def test_what_comes_out_otherwise_is_a_surprise(expected: str, error: Exception) -> None:
    story = Story()
    story.line("something", expected, lambda: raising(error))
    assert story.surprises == 1


def test_more_than_was_expected_is_a_surprise() -> None:
    story = Story()
    story.line("bob at a site that is not his", "403", lambda: "200, app sees bob")
    assert (story.told, story.surprises) == (1, 1)
    story.line("alice", "200, app sees alice", lambda: "200, app sees alice")
    assert (story.told, story.surprises) == (2, 1)
