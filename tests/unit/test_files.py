# SPDX-License-Identifier: Apache-2.0
"""Atomic writes, private modes and the lock."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pivgate.errors import BusyError, StorageError
from pivgate.files import (
    exclusive_lock,
    left_beside,
    make_private_directory,
    read_file,
    remove_unfinished,
    write_atomic,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run_python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args], capture_output=True, text=True, check=False
    )


def test_content_and_mode_are_as_asked(tmp_path: Path) -> None:
    os.umask(0o022)
    write_atomic(tmp_path / "secret", b"one")
    write_atomic(tmp_path / "public", b"two", 0o644)
    assert (tmp_path / "secret").read_bytes() == b"one"
    assert mode(tmp_path / "secret") == 0o600
    assert mode(tmp_path / "public") == 0o644


def test_a_public_file_becomes_private_when_rewritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o666)
    write_atomic(tmp_path / "file", b"new")
    assert mode(tmp_path / "file") == 0o600


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    # RLIMIT_FSIZE makes the kernel refuse the write in the middle, as a full disk does.
    result = run_python(
        """
        import resource, signal, sys
        from pathlib import Path
        from pivgate.errors import StorageError
        from pivgate.files import write_atomic
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_atomic(Path(sys.argv[1]), b"x" * 5000)
        except StorageError as error:
            print(error.message, "|", error.hint)
        """,
        str(tmp_path / "file"),
    )
    assert "Cannot write" in result.stdout, result.stderr
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_process_killed_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    result = run_python(
        """
        import os, signal, sys
        from pathlib import Path
        from pivgate import files
        os.fsync = lambda _descriptor: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(Path(sys.argv[1]), b"new")
        """,
        str(tmp_path / "file"),
    )
    assert result.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot write .*nowhere/file: No such file"):
        write_atomic(tmp_path / "nowhere" / "file", b"")


def test_reading_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot read .*file: No such file"):
        read_file(tmp_path / "file")


def test_a_private_directory_is_tightened(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    make_private_directory(tmp_path / "run")
    assert mode(tmp_path / "run") == 0o700


def test_a_file_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(StorageError, match="Cannot create"):
        make_private_directory(tmp_path / "run")


def test_the_second_holder_of_the_lock_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "lock"):
        with pytest.raises(BusyError, match=f"process {os.getpid()}"), exclusive_lock(tmp_path / "lock", 0):
            pass
    with exclusive_lock(tmp_path / "lock", 0):
        pass


def test_the_lock_holds_on_a_full_disk(tmp_path: Path) -> None:
    result = run_python(
        """
        import resource, signal, sys
        from pathlib import Path
        from pivgate.errors import BusyError
        from pivgate.files import exclusive_lock
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with exclusive_lock(Path(sys.argv[1])):
            try:
                with exclusive_lock(Path(sys.argv[1]), 0):
                    pass
            except BusyError as error:
                print(error.message)
        """,
        str(tmp_path / "lock"),
    )
    assert "process unknown" in result.stdout, result.stderr


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    result = run_python(
        """
        import os, signal, sys
        from pathlib import Path
        from pivgate.files import exclusive_lock
        with exclusive_lock(Path(sys.argv[1])):
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        str(tmp_path / "lock"),
    )
    assert result.returncode == -signal.SIGKILL
    with exclusive_lock(tmp_path / "lock", 0):
        pass


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot open"), exclusive_lock(tmp_path / "nowhere" / "lock"):
        pass


def test_only_what_was_not_finished_is_removed(tmp_path: Path) -> None:
    kept = {".Caddyfile.swp", ".Caddyfile.original", "Caddyfile", "a.ab_1cd2e.unfinished", ".f.unfinished"}
    for name in (*kept - {".f.unfinished"}, ".Caddyfile.ab_1cd2e.unfinished"):
        (tmp_path / name).touch()
    (tmp_path / ".f.unfinished").mkdir()

    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "nowhere")

    assert {path.name for path in tmp_path.iterdir()} == kept


def test_what_was_left_beside_a_file_is_told_from_what_others_keep_there(tmp_path: Path) -> None:
    (tmp_path / "[a]").write_bytes(b"old")
    result = run_python(
        """
        import os, signal, sys
        from pathlib import Path
        from pivgate import files
        os.fsync = lambda _descriptor: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(Path(sys.argv[1]), b"new")
        """,
        str(tmp_path / "[a]"),
    )
    assert result.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()} - {"[a]"}
    assert len(left) == 1
    for name in (".[a].swp", ".[a].original", ".[a].12345678", "[a].1.unfinished", ".a.12345678.unfinished"):
        (tmp_path / name).touch()
    assert {path.name for path in left_beside(tmp_path / "[a]")} == left
    assert left_beside(tmp_path / "nowhere" / "a") == []
