# SPDX-License-Identifier: Apache-2.0
"""The demo's chapter with a real Firefox: without a display by its pictures, with one by its window."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.cli.demo_people import PIN

PNG = b"\x89PNG\r\n\x1a\n"
PATIENCE = 30.0


@pytest.fixture
def place() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="pg"))
    yield root
    shutil.rmtree(root)


def start(place: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pivgate", "demo", "--browser", "--pictures", place / "pictures"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "NO_COLOR": "1", "HOME": str(place)},
    )


def without_display() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def test_without_a_display_there_are_pictures_of_what_a_person_would_see(place: Path) -> None:
    demo = start(place, without_display())
    out, err = demo.communicate(timeout=90)
    assert demo.returncode == 0, out + err
    assert "Hello, alice." in out
    assert "BAD" not in out
    sizes = {}
    for name in ("pin-prompt.png", "opened.png", "refused.png"):
        data = (place / "pictures" / name).read_bytes()
        assert data.startswith(PNG)
        sizes[name] = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        assert str(place / "pictures" / name) in out
    assert sizes["opened.png"] == sizes["refused.png"] > sizes["pin-prompt.png"]
    # Nothing was noted in the person's own folder: the profile is gone, so there is nothing to undo.
    assert not (place / ".local" / "state").exists()


@pytest.fixture
def display() -> Iterator[dict[str, str]]:
    """An X server with a window manager; yields the environment for it."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x800x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    environment = {**without_display(), "DISPLAY": f":{number}"}
    manager = subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield environment
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait()


def await_window(environment: dict[str, str], title: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", title],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        ).stdout.split()
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no window {title!r}")


def press(environment: dict[str, str], window: str, *keys: str) -> None:
    subprocess.run(["xdotool", "windowactivate", "--sync", window], check=True, env=environment)
    subprocess.run(["xdotool", *keys], check=True, env=environment)


def test_with_a_display_a_person_types_the_pin_into_a_window(place: Path, display: dict[str, str]) -> None:
    demo = start(place, display)
    try:
        prompt = await_window(display, "^Password Required")
        press(display, prompt, "type", PIN)
        press(display, prompt, "key", "Return")
        # Which certificate: the picker is inside Firefox's own window, and OK is its default.
        page = ""
        deadline = time.monotonic() + PATIENCE
        while not page:
            assert time.monotonic() < deadline
            press(display, await_window(display, "Mozilla Firefox$"), "key", "Return")
            page = subprocess.run(
                ["xdotool", "search", "--onlyvisible", "--name", "^pivgate demo"],
                capture_output=True,
                text=True,
                check=False,
                env=display,
            ).stdout
            time.sleep(0.5)
        press(display, page.split()[0], "key", "alt+F4")
        out, err = demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0, out + err
    assert f"The PIN is {PIN}." in out
    assert int(re.findall(r"(\d+) lines, all as expected", out)[0]) == out.count("  ok ")
    assert not (place / "pictures").exists()


def test_without_firefox_nothing_is_begun(place: Path) -> None:
    demo = start(place, {**without_display(), "PATH": str(Path(sys.executable).parent)})
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert out == ""
    assert "apt install firefox-esr" in err
