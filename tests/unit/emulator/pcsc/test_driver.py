# SPDX-License-Identifier: Apache-2.0
"""The driver's compilation, and the folder that it is kept in: what is in there, pcscd runs."""

import ctypes
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from pivgate.emulator.pcsc import driver
from pivgate.emulator.pcsc.driver import PcscSetupError, compiled_driver, default_cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def only_with(monkeypatch: pytest.MonkeyPatch, folder: Path, *programs: str) -> None:
    """Leave nothing in PATH but some programs."""
    folder.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))


def test_it_is_compiled_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = compiled_driver(cache)
    loaded = ctypes.CDLL(str(library))
    for name in ("CreateChannelByName", "PowerICC", "TransmitToICC", "ICCPresence", "GetCapabilities"):
        assert hasattr(loaded, f"IFDH{name}"), name
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(library.stat().st_mode) == 0o755
    assert [path.name for path in cache.iterdir()] == [library.name]

    only_with(monkeypatch, tmp_path / "nothing")
    assert compiled_driver(cache) == library, "no compiler is needed again"


def test_another_source_is_another_library(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compiled_driver(cache)
    source = tmp_path / "driver.c"
    source.write_bytes(driver._SOURCE.read_bytes() + b"\n/* newer */\n")
    monkeypatch.setattr(driver, "_SOURCE", source)
    assert compiled_driver(cache) != library
    assert library.exists(), "somebody may have it loaded"


def test_many_at_once(cache: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(compiled_driver(cache))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert list(cache.iterdir()) == made[:1]
    ctypes.CDLL(str(made[0]))


def test_no_compiler(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_with(monkeypatch, tmp_path / "nothing")
    with pytest.raises(PcscSetupError, match="there is no C compiler") as failure:
        compiled_driver(cache)
    assert "apt install gcc" in failure.value.remedy
    assert list(cache.iterdir()) == []


def test_no_header(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_HEADERS", ("/nowhere/PCSC",))
    with pytest.raises(PcscSetupError, match="header ifdhandler.h is missing") as failure:
        compiled_driver(cache)
    assert "libpcsclite-dev" in failure.value.remedy


def test_a_compiler_that_fails(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "driver.c"
    source.write_text("#include <no-such-header.h>\n")
    monkeypatch.setattr(driver, "_SOURCE", source)
    with pytest.raises(PcscSetupError, match="does not compile.*no-such-header") as failure:
        compiled_driver(cache)
    assert failure.value.remedy
    assert list(cache.iterdir()) == [], "nothing half done is left"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write(cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(PcscSetupError, match="Others may write") as failure:
        compiled_driver(cache)
    assert "chmod go-w" in failure.value.remedy
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_that_others_may_only_read(cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    assert compiled_driver(cache).exists()


def test_a_folder_of_somebody_else(cache: Path) -> None:
    if os.geteuid() == 0:
        cache.mkdir(mode=0o755)
        os.chown(cache, 65534, 65534)
    with pytest.raises(PcscSetupError, match="Others may write"):
        compiled_driver(cache if cache.exists() else Path("/usr"))


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PcscSetupError, match="cannot be made: Not a directory") as failure:
        compiled_driver(tmp_path / "file" / "cache")
    assert "XDG_CACHE_HOME" in failure.value.remedy
    with pytest.raises(PcscSetupError, match="cannot be made"):
        compiled_driver(tmp_path / "file")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/elsewhere", "/elsewhere/pivgate"),
        ("", "/home/alice/.cache/pivgate"),
        ("x/y", "/home/alice/.cache/pivgate"),
    ],
)
def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, given: str, expected: str) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert default_cache() == Path(expected)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path("/home/alice/.cache/pivgate")
