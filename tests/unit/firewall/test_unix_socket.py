# SPDX-License-Identifier: Apache-2.0
"""Who may open a unix socket: told by its permissions, and the same as what the kernel then says."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.errors import InputError
from pivgate.firewall.reach import Outcome
from pivgate.firewall.survey import sort_targets, try_ways
from pivgate.firewall.unix_socket import (
    Account,
    Step,
    account_of,
    account_of_process,
    is_open_to_all,
    name_of,
    remarks,
    way_to,
)

OWNER, MEMBER, STRANGER = (
    (4000, frozenset({4000})),
    (4001, frozenset({4001, 4444})),
    (4002, frozenset({4002})),
)
GROUP = 4444


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path: only its owner passes that.
    made = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def listening(folder: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "app.sock"))
        server.listen()
        yield folder / "app.sock"


def connects(path: Path, account: Account) -> bool:
    """Say whether the kernel lets a user connect."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(sorted(account.gids))
            os.setgid(account.uid)
            os.setuid(account.uid)
            socket.socket(socket.AF_UNIX).connect(str(path))
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("folder_mode", "socket_mode"),
    [
        (0o755, 0o666),
        (0o750, 0o666),
        (0o700, 0o666),
        (0o707, 0o606),
        (0o755, 0o660),
        (0o755, 0o066),
        (0o755, 0o444),
    ],
)
def test_what_is_told_is_what_the_kernel_does(
    folder: Path, listening: Path, folder_mode: int, socket_mode: int
) -> None:
    for path, mode in ((listening, socket_mode), (folder, folder_mode)):
        os.chown(path, OWNER[0], GROUP)
        path.chmod(mode)
    steps = way_to(listening)
    for uid, gids in (OWNER, MEMBER, STRANGER, (0, frozenset({0}))):
        account = Account(uid, gids)
        assert all(step.lets(account) for step in steps) == connects(listening, account), account
    assert is_open_to_all(steps) == connects(listening, Account(*STRANGER))


def test_a_socket_for_all_is_remarked_on_and_one_put_away_is_not(folder: Path, listening: Path) -> None:
    listening.chmod(0o666)
    folder.chmod(0o755)
    me = account_of(os.geteuid())
    (remark,) = remarks(listening, me)
    assert "Every user of this machine may connect" in remark
    folder.chmod(0o700)
    assert remarks(listening, me) == ()


def test_a_gate_that_is_kept_out_is_remarked_on(folder: Path, listening: Path) -> None:
    listening.chmod(0o660)
    folder.chmod(0o755)
    (remark,) = remarks(listening, Account(4002, frozenset()))
    assert f"number 4002, who runs Caddy, gets no further than {listening}" in remark
    folder.chmod(0o700)
    (remark,) = remarks(listening, Account(4002, frozenset()))
    assert f"no further than {folder}:" in remark


def test_a_service_that_does_not_see_the_socket_is_remarked_on(folder: Path, listening: Path) -> None:
    me = account_of(os.geteuid())
    hidden = folder / "root"
    hidden.mkdir()
    (remark,) = remarks(listening, me, hidden)
    assert f"does not see {listening}" in remark
    (hidden / listening.relative_to("/")).parent.mkdir(parents=True)
    (hidden / listening.relative_to("/")).touch()
    assert remarks(listening, me, hidden) == ()
    assert remarks(listening, me, Path(f"/proc/{os.getpid()}/root")) == ()


def test_a_process_has_the_groups_that_it_was_given() -> None:
    with subprocess.Popen(
        ["setpriv", "--reuid=4001", "--regid=4001", "--groups=4444,4445", "sleep", "60"]
    ) as program:
        deadline = time.monotonic() + 60
        while (found := account_of_process(program.pid)).uid != 4001 and time.monotonic() < deadline:
            time.sleep(0.01)
        program.kill()
    assert found == Account(4001, frozenset({4001, 4444, 4445}))


def test_a_program_that_is_not_started_yet_has_made_no_socket(folder: Path) -> None:
    (remark,) = remarks(folder / "later.sock", account_of(os.geteuid()))
    assert "no socket" in remark
    assert "502" in remark


def test_a_file_or_a_folder_is_no_socket(folder: Path) -> None:
    (folder / "file").touch()
    for wrong in (folder / "file", folder):
        with pytest.raises(InputError, match="not a unix socket"):
            remarks(wrong, account_of(os.geteuid()))


def test_a_path_that_cannot_be_looked_at_is_said(folder: Path) -> None:
    (folder / "file").touch()
    (remark,) = remarks(folder / "file" / "app.sock", account_of(os.geteuid()))
    assert "could not be looked at: Not a directory" in remark


def test_a_link_is_followed_to_where_the_socket_is(folder: Path, listening: Path) -> None:
    (folder / "link").symlink_to(listening)
    assert way_to(folder / "link")[-1].path == listening


def test_root_passes_everywhere() -> None:
    shut = Step(Path("/x"), 5, 5, 0o140000)
    assert shut.lets(Account(0, frozenset()))
    assert not shut.lets(Account(5, frozenset({5})))


def test_a_user_without_a_name_is_a_number() -> None:
    assert name_of(0) == "root"
    assert name_of(2**31) == f"number {2**31}"
    assert account_of(2**31) == Account(2**31, frozenset())
    assert 0 in account_of(0).gids


def test_firewall_check_says_that_it_is_closed_by_nature(folder: Path, listening: Path) -> None:
    targets = sort_targets([f"unix/{listening}"])
    listening.chmod(0o666)
    folder.chmod(0o755)
    (way,) = try_ways(targets, from_gate=True)
    assert way.outcome is Outcome.LOCAL
    assert "every user of this machine" in way.says
    folder.chmod(0o750)
    (way,) = try_ways(targets, from_gate=True)
    assert (way.outcome, way.says) == (Outcome.CLOSED, "a unix socket, on no network")
    (way,) = try_ways(sort_targets([f"unix/{folder}/none.sock"]), from_gate=True)
    assert way.outcome is Outcome.CLOSED
