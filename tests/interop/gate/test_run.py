# SPDX-License-Identifier: Apache-2.0
"""Starting, finding and stopping a real Caddy, and leaving every other process alone."""

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.gate.conftest import Place

from pivgate.errors import GateError, StorageError
from pivgate.gate.admin import AdminApi, LoadRefusedError, at_home
from pivgate.gate.apply import up
from pivgate.gate.caddy import Caddy, Version, find_caddy
from pivgate.gate.process import running, start, stop
from pivgate.gate.unix_http import BrokeOffError, NotRunningError

pytestmark = pytest.mark.interop


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@contextmanager
def bystander(*command: str | Path) -> Iterator[int]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield process.pid
            assert process.poll() is None, "the bystander was killed"
        finally:
            process.kill()


def test_caddy_starts_by_itself_serves_nothing_and_ends_without_a_trace(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    home = place.home

    caddy = start(find_caddy(), home)

    assert running(home) == caddy
    assert os.getsid(caddy.pid) == caddy.pid
    assert AdminApi(home.admin_socket).config() == at_home({}, home.admin_socket)
    assert {path.name: path.stat().st_mode & 0o777 for path in home.run.iterdir()} == {
        "admin.sock": 0o200,
        "caddy.log": 0o600,
        "caddy.pid": 0o600,
    }
    assert home.run.stat().st_mode & 0o777 == 0o700
    environment = Path(f"/proc/{caddy.pid}/environ").read_bytes().split(b"\0")
    assert f"CADDY_ADMIN=unix/{home.admin_socket}|0200".encode() in environment

    assert stop(home) is True

    assert not is_alive(caddy.pid)
    assert running(home) is None
    assert {path.name for path in home.run.iterdir()} == {"caddy.log"}
    assert not (tmp_path / "user").exists()
    assert stop(home) is False


def test_a_second_start_is_refused_and_the_first_goes_on(place: Place) -> None:
    caddy = start(find_caddy(), place.home)

    with pytest.raises(GateError, match=f"already running \\(process {caddy.pid}\\)"):
        start(find_caddy(), place.home)

    assert running(place.home) == caddy


def test_after_a_kill_it_is_down_and_starts_again(place: Place) -> None:
    killed = start(find_caddy(), place.home)
    handle = os.pidfd_open(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)

    assert running(place.home) is None
    assert place.home.caddy_pid.exists()
    assert place.home.admin_socket.exists()

    assert start(find_caddy(), place.home).pid != killed.pid


def test_the_pid_of_another_process_is_never_taken_for_caddy(place: Place) -> None:
    place.home.run.mkdir()
    with bystander("sleep", "60") as pid:
        place.home.caddy_pid.write_text(f"{pid}\n")

        assert running(place.home) is None
        assert stop(place.home) is False
        place.home.caddy_pid.write_text(f"{pid}\n")
        start(find_caddy(), place.home)


def test_another_caddy_is_never_taken_for_ours(place: Place, tmp_path: Path) -> None:
    place.home.run.mkdir()
    other_pid_file = tmp_path / "other.pid"
    caddy = find_caddy().path
    with bystander(caddy, "run", "--config", "/dev/null", "--pidfile", other_pid_file) as pid:
        place.home.caddy_pid.write_text(f"{pid}\n")

        assert running(place.home) is None
        assert stop(place.home) is False


@pytest.mark.parametrize("content", ["", "0", "-1", "four", "1" * 40, "1", "\0"])
def test_a_damaged_pid_file_names_nobody(place: Place, content: str) -> None:
    place.home.run.mkdir()
    place.home.caddy_pid.write_text(content)

    assert running(place.home) is None
    assert stop(place.home) is False


def test_without_its_pid_file_it_is_found_by_its_socket(place: Place) -> None:
    caddy = start(find_caddy(), place.home)
    place.home.caddy_pid.unlink()

    assert running(place.home) == caddy
    assert stop(place.home) is True
    assert not is_alive(caddy.pid)


def test_somebody_else_on_the_admin_socket_is_named_and_left_alone(place: Place) -> None:
    place.home.run.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.home.admin_socket))
        listener.listen()

        with pytest.raises(GateError, match=f"Process {os.getpid()} listens on"):
            start(find_caddy(), place.home)

        assert running(place.home) is None


def test_caddy_that_does_not_end_politely_is_ended_by_force(place: Place) -> None:
    caddy = start(find_caddy(), place.home)
    os.kill(caddy.pid, signal.SIGSTOP)

    assert stop(place.home, grace=0.1) is True

    assert not is_alive(caddy.pid)


def test_what_caddy_says_at_its_end_is_the_error(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "caddy"
    program.write_text('#!/bin/sh\necho \'{"level":"error","msg":"no luck today"}\' >&2\nexit 3\n')
    program.chmod(0o700)

    with pytest.raises(GateError, match="no luck today"):
        start(Caddy(program, Version((2, 11, 7))), place.home)

    assert running(place.home) is None
    assert {path.name for path in place.home.run.iterdir()} == {"caddy.log"}


def test_a_silent_end_has_its_status_in_the_error(place: Place) -> None:
    with pytest.raises(GateError, match="ended at once: status 1"):
        start(Caddy(Path("/bin/false"), Version((2, 11, 7))), place.home)


def test_a_program_that_cannot_be_run_is_named(place: Place, tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"Cannot run .*nowhere: No such file"):
        start(Caddy(tmp_path / "nowhere", Version((2, 11, 7))), place.home)


def test_a_full_disk_is_a_storage_error_and_nothing_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", full)

    with pytest.raises(StorageError, match="No space left"):
        start(find_caddy(), place.home)

    assert running(place.home) is None


@pytest.mark.parametrize("name", ["run", "caddy", "run/caddy.log", "run/admin.sock"])
def test_a_home_with_something_in_the_way_is_a_storage_error(place: Place, name: str) -> None:
    path = place.home.root / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix:
        (path / "x").mkdir(parents=True)
    else:
        path.touch()

    with pytest.raises(StorageError):
        start(find_caddy(), place.home)

    assert running(place.home) is None
    path.rename(path.with_name("aside"))


def test_a_log_that_has_grown_large_is_put_aside(place: Place) -> None:
    place.home.run.mkdir()
    with place.home.caddy_log.open("wb") as log:
        log.truncate(9 * 1024 * 1024)

    start(find_caddy(), place.home)

    assert place.home.caddy_log.stat().st_size < 100_000
    assert place.home.caddy_log.with_name("caddy.log.1").stat().st_size == 9 * 1024 * 1024


def test_a_port_in_use_is_refused_and_its_holder_named(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        with pytest.raises(GateError, match=f"Port {place.port} is already in use by .*{os.getpid()}"):
            up(place.home)

    assert running(place.home) is None


def test_a_port_that_another_caddy_would_share_is_refused(place: Place, tmp_path: Path) -> None:
    """Both would bind it, and the kernel would hand every second connection to the other one."""
    config = tmp_path / "Caddyfile"
    config.write_text(
        f"{{\n\tadmin off\n\tpersist_config off\n}}\nhttp://127.0.0.1:{place.port} {{\n\trespond x\n}}\n"
    )
    with bystander(find_caddy().path, "run", "--config", config) as pid:
        while not place.is_listening(place.port):
            time.sleep(0.01)

        with pytest.raises(GateError, match=f"already in use by caddy \\(process {pid}\\)"):
            up(place.home)

    assert running(place.home) is None


def test_a_load_that_fails_leaves_the_admin_api_where_it_is(place: Place) -> None:
    start(find_caddy(), place.home)
    api = AdminApi(place.home.admin_socket)
    before = api.config()

    with pytest.raises(LoadRefusedError, match="unknown module"):
        api.load(at_home({"apps": {"bogus": {}}}, place.home.admin_socket))

    assert api.config() == before


@pytest.mark.parametrize(
    "admin",
    [None, {}, {"listen": "localhost:2019"}, {"listen": "unix//elsewhere.sock"}, {"disabled": True}],
    ids=["none", "empty", "tcp", "another socket", "off"],
)
def test_a_configuration_that_would_move_the_admin_api_is_not_even_sent(
    place: Place, admin: dict[str, object] | None
) -> None:
    start(find_caddy(), place.home)
    api = AdminApi(place.home.admin_socket)
    before = api.config()
    config: dict[str, object] = {"apps": {"bogus": {}}}
    if admin is not None:
        config["admin"] = admin

    with pytest.raises(GateError, match="would move Caddy's admin API"):
        api.load(config)

    assert api.config() == before


def test_a_load_that_makes_caddy_break_off_is_told_apart(place: Place) -> None:
    """An expression without a name makes Caddy 2.11 panic, and then it shows what does not run."""
    start(find_caddy(), place.home)
    route = {"match": [{"expression": {"expr": "true"}}]}
    apps = {"http": {"servers": {"x": {"listen": [f"127.0.0.1:{place.port}"], "routes": [route]}}}}

    with pytest.raises(BrokeOffError):
        AdminApi(place.home.admin_socket).load(at_home({"apps": apps}, place.home.admin_socket))

    assert running(place.home) is not None
    assert not place.is_listening(place.port)


def test_an_unchanged_configuration_is_loaded_again(place: Place) -> None:
    """Else a certificate file replaced under the same name would not be read."""
    up(place.home)
    api = AdminApi(place.home.admin_socket)
    config = api.config()
    place.home.authority_certificate.write_text("no certificate")

    with pytest.raises(LoadRefusedError):
        api.load({**config, "apps": {**config["apps"], "bogus": {}}})
    shutil.move(place.home.authority_certificate, place.home.authority_certificate.with_suffix(".away"))
    with pytest.raises(LoadRefusedError, match="no such file"):
        api.load(config)


def test_nobody_there_is_not_running(place: Place) -> None:
    with pytest.raises(NotRunningError, match="Nobody listens on"):
        AdminApi(place.home.admin_socket).config()
