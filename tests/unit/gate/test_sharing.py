# SPDX-License-Identifier: Apache-2.0
"""Of a shared home Caddy's group reads what the gate needs, no more; taken back, nothing is left of it."""

import os
import stat
from pathlib import Path

import pytest

from pivgate.gate.access import synchronise, withdraw
from pivgate.gate.sharing import close, is_shared, share
from pivgate.settings import Home

GROUP = 54321
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for folder in (home.root, home.access, home.authority_certificate.parent, home.upstreams):
        folder.mkdir(0o700)
    home.authority_certificate.write_text("")
    for name in ("ca.pem", "ca.key", "gate.pem", "server.pem"):
        path = home.upstreams / "a.test" / name
        path.parent.mkdir(0o700, exist_ok=True)
        path.touch(0o600)
    for path in (home.authority_key, home.registry):
        path.touch(0o600)
    synchronise(home.access, {("admins", ONE)})
    return home


@pytest.fixture
def shared(home: Home) -> Home:
    os.chown(home.root, -1, GROUP)
    home.root.chmod(0o710)
    share(home)
    return home


def modes(home: Home) -> dict[str, str]:
    return {
        str(path.relative_to(home.root)): f"{path.stat().st_gid} {stat.S_IMODE(path.stat().st_mode):o}"
        for path in (home.root, *home.root.rglob("*"))
    }


def opened(home: Home) -> set[str]:
    return {name for name, mode in modes(home).items() if mode.startswith(f"{GROUP} ")}


def test_a_home_of_its_owner_alone_stays_as_it_is(home: Home) -> None:
    before = modes(home)
    assert not is_shared(home)
    share(home)
    assert modes(home) == before


def test_the_group_reads_what_the_gate_needs(shared: Home) -> None:
    found = modes(shared)
    assert opened(shared) == {
        ".",
        "authority",
        "access",
        "access/admins",
        f"access/admins/{ONE}",
        "upstream",
        "upstream/a.test",
        "upstream/a.test/ca.pem",
        "upstream/a.test/gate.pem",
    }
    assert (found["authority"], found["upstream/a.test"]) == (f"{GROUP} 710", f"{GROUP} 710")
    assert (found["access/admins"], found[f"access/admins/{ONE}"]) == (f"{GROUP} 2750", f"{GROUP} 640")
    assert found["upstream/a.test/gate.pem"] == f"{GROUP} 640"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_comes_later_is_opened_as_its_folder_is(shared: Home, umask: int) -> None:
    before = os.umask(umask)
    try:
        synchronise(shared.access, {("admins", ONE), ("admins", TWO), ("editors", THREE)})
    finally:
        os.umask(before)
    found = modes(shared)
    assert {found[f"access/{entry}"] for entry in (f"admins/{TWO}", f"editors/{THREE}")} == {f"{GROUP} 640"}
    assert found["access/editors"] == f"{GROUP} 2750"
    assert withdraw(shared.access, [TWO]) == 1


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_in_a_home_that_is_not_shared_nothing_is_opened(home: Home, umask: int) -> None:
    before = os.umask(umask)
    try:
        synchronise(home.access, {("admins", TWO), ("editors", THREE)})
    finally:
        os.umask(before)
    found = modes(home)
    assert found["access/editors"] == f"{os.getegid()} 700"
    assert found[f"access/editors/{THREE}"] == f"{os.getegid()} 600"


def test_a_tree_that_was_put_there_by_hand_is_opened_again(shared: Home) -> None:
    entry = shared.access / "admins" / ONE
    shared.access.chmod(0o700)
    os.chown(entry, -1, 0)
    entry.chmod(0o600)
    share(shared)
    assert modes(shared)[f"access/admins/{ONE}"] == f"{GROUP} 640"


@pytest.mark.parametrize(("before", "group", "after"), [(0o700, GROUP, "750"), (0o755, os.getegid(), "755")])
def test_caddy_may_work_where_the_caddyfile_is(shared: Home, before: int, group: int, after: str) -> None:
    folder = shared.caddyfile.parent
    folder.mkdir()
    folder.chmod(before)
    share(shared)
    assert modes(shared)["gate"] == f"{group} {after}"
    close(shared)
    assert modes(shared)["gate"] == f"{os.getegid()} {before:o}"


def test_a_link_is_not_followed(shared: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    (shared.upstreams / "a.test" / "ca.pem").unlink()
    (shared.upstreams / "a.test" / "ca.pem").symlink_to(secret)
    share(shared)
    assert (secret.stat().st_gid, stat.S_IMODE(secret.stat().st_mode)) == (os.getegid(), 0o600)


def test_taken_back_nothing_is_left_of_it(home: Home) -> None:
    before = modes(home)
    os.chown(home.root, -1, GROUP)
    home.root.chmod(0o710)
    share(home)
    close(home)
    assert modes(home) == before
    assert not is_shared(home)
