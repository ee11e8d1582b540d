# SPDX-License-Identifier: Apache-2.0
"""The files of an upstream: made, renewed, handed out and removed, also by commands that are killed."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pivgate.authority.upstream import issue_gate
from pivgate.enrolment.upstream import create, hand_out, mark, renew, settle
from pivgate.enrolment.upstream_endings import endings
from pivgate.enrolment.upstream_pair import read_authority, read_certificate, read_pair
from pivgate.errors import HomeError, InputError, RefusedError, StorageError
from pivgate.files import write_atomic
from pivgate.gate.upstream_block import UpstreamFolder, folder_of, folders, transport
from pivgate.settings import Home

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SITE = "mysite.test"
DUE = NOW + timedelta(days=250)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.caddyfile.parent.mkdir(parents=True)
    home.caddyfile.write_text("# empty\n")
    return home


def caddyfile(home: Home) -> str:
    return home.caddyfile.read_text()


def add(home: Home, site: str = SITE) -> UpstreamFolder:
    """Do what ``site add`` does, but for Caddy."""
    settle(home, caddyfile(home))
    folder = folder_of(home, site)
    create(home, site, (site,), NOW)
    write_atomic(home.caddyfile, ("\n".join(transport(folder, site)) + "\n").encode())
    settle(home, caddyfile(home))
    return folder


def remove(home: Home) -> None:
    """Do what ``site remove`` does, but for Caddy."""
    settle(home, caddyfile(home))
    mark(folder_of(home, SITE))
    write_atomic(home.caddyfile, b"# empty\n")
    settle(home, caddyfile(home))


def check_whole(folder: UpstreamFolder) -> None:
    """Accept a folder of which every file can be used."""
    authority = read_authority(folder).certificate
    for path in (folder.gate, folder.server):
        read_pair(path).certificate.verify_directly_issued_by(authority)
    assert not folder.unsettled.exists()


# --- Killed ----------------------------------------------------------------------------------------

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed just before that change of a folder; say if it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def each_death(prepare: Callable[[], object], work: Callable[[], object]) -> Iterator[int]:
    """Kill the work at every step in turn, each time from the same beginning."""
    for step in range(200):
        prepare()
        if not killed_at(step, work):
            assert step > 3, "it was never killed"
            return
        yield step
    raise AssertionError("the work never ends")


def emptied(home: Home) -> Callable[[], None]:
    def empty() -> None:
        home.caddyfile.write_text("# empty\n")
        for folder in folders(home):
            mark(folder)
        settle(home, "")

    return empty


def test_add_killed_at_any_step_is_whole_or_not_there(home: Home) -> None:
    seen = set()
    for _ in each_death(emptied(home), lambda: add(home)):
        settle(home, caddyfile(home))
        folder = folder_of(home, SITE)
        seen.add(folder.path.exists())
        assert folder.path.exists() == folder.is_in(caddyfile(home))
        if not folder.path.exists():
            add(home)
        check_whole(folder)
        assert [each.name for each in home.upstreams.iterdir()] == [SITE]
    assert seen == {True, False}


def test_remove_killed_at_any_step_is_done_or_was_never_begun(home: Home) -> None:
    def prepare() -> None:
        emptied(home)()
        add(home)

    seen = set()
    for _ in each_death(prepare, lambda: remove(home)):
        settle(home, caddyfile(home))
        folder = folder_of(home, SITE)
        seen.add(folder.path.exists())
        if folder.is_in(caddyfile(home)):
            check_whole(folder)
        else:
            assert not folder.path.exists()
    assert seen == {True, False}


def test_renew_killed_at_any_step_leaves_pairs_that_match(home: Home) -> None:
    def prepare() -> None:
        emptied(home)()
        shutil.rmtree(home.root / "out", ignore_errors=True)
        add(home)

    for _ in each_death(
        prepare, lambda: [renew(folder_of(home, SITE), DUE), hand_out(home, SITE, home.root / "out")]
    ):
        folder = folder_of(home, SITE)
        check_whole(folder)
        renew(folder_of(home, SITE), DUE)
        check_whole(folder)
        assert read_certificate(folder.gate).not_valid_after_utc > DUE + timedelta(days=300)
        assert read_certificate(folder.server).not_valid_after_utc > DUE + timedelta(days=300)
        hand_out(home, SITE, home.root / "out")


# --- Made and removed ------------------------------------------------------------------------------


def test_secrets_are_for_the_owner_alone(home: Home) -> None:
    folder = add(home)
    assert {
        path.stat().st_mode & 0o077 for path in [*folder.path.iterdir(), folder.path, home.upstreams]
    } == {0}


def test_a_second_authority_for_one_site_is_refused(home: Home) -> None:
    folder = add(home)
    before = folder.authority.read_bytes()
    with pytest.raises(HomeError, match="already an authority"):
        create(home, SITE, (SITE,), NOW)
    assert folder.authority.read_bytes() == before


def test_what_another_block_refers_to_stays(home: Home) -> None:
    folder = add(home)
    mark(folder)
    settle(home, caddyfile(home))
    check_whole(folder)


def test_a_folder_that_nobody_marked_is_not_deleted(home: Home) -> None:
    folder = add(home)
    settle(home, "# the operator took the block out for a day\n")
    check_whole(folder)


def test_sites_do_not_share_a_folder(home: Home) -> None:
    names = ["mysite.test", "mysite.test:8443", "*.mysite.test", "a.mysite.test", "*.mysite.test:8443"]
    found = {folder_of(home, name).path for name in names}
    assert len(found) == len(names)
    assert sorted(UpstreamFolder(path).address for path in found) == sorted(names)
    assert folder_of(home, "https://MySite.test:443") == folder_of(home, "mysite.test")


# --- Renewed ---------------------------------------------------------------------------------------


def test_nothing_is_renewed_before_its_time(home: Home) -> None:
    folder = add(home)
    before = folder.gate.read_bytes()
    assert renew(folder, NOW + timedelta(days=200)) == ()
    assert folder.gate.read_bytes() == before


def test_both_are_renewed_with_new_keys_and_the_old_names(home: Home) -> None:
    folder = add(home)
    old = read_pair(folder.gate), read_pair(folder.server)
    issued = renew(folder_of(home, SITE), DUE)
    assert [each.role for each in issued] == ["gate", "server"]
    new = read_pair(folder.gate), read_pair(folder.server)
    for before, after in zip(old, new, strict=True):
        assert before.certificate.public_key() != after.certificate.public_key()
        assert after.certificate.subject == before.certificate.subject
    names = [pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName) for pair in
             (old[1], new[1])]  # fmt: skip
    assert names[0] == names[1]
    check_whole(folder)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "gate.pem", "server.pem"])
@pytest.mark.parametrize("content", [b"", b"no certificate\n", None])
def test_a_damaged_file_is_named(home: Home, name: str, content: bytes | None) -> None:
    folder = add(home)
    broken = folder.path / name
    if content is None:
        broken.unlink()
    else:
        broken.write_bytes(content)
    with pytest.raises(StorageError):
        renew(folder_of(home, SITE), DUE)


def test_another_authoritys_key_signs_nothing(home: Home) -> None:
    folder = add(home)
    other = folder_of(home, "other.test")
    create(home, "other.test", ("other.test",), NOW)
    folder.authority_key.write_bytes(other.authority_key.read_bytes())
    with pytest.raises(StorageError, match=r"ca\.key is damaged"):
        renew(folder_of(home, SITE), DUE)


def test_another_servers_key_is_not_handed_out(home: Home) -> None:
    folder = add(home)
    server = folder.server.read_bytes()
    gate_key = folder.gate.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    folder.server.write_bytes(gate_key + server[server.index(b"-----BEGIN CERTIFICATE") :])
    with pytest.raises(StorageError, match=r"server\.pem is damaged"):
        hand_out(home, SITE, home.root / "out")


def test_a_clock_before_the_authority_signs_nothing(home: Home) -> None:
    folder = add(home)
    early = NOW - timedelta(days=400)
    assert renew(folder, early) == ()
    with pytest.raises(RefusedError, match="clock"):
        issue_gate(
            read_authority(folder), read_pair(folder.gate).private_key, now=early, randomness=os.urandom
        )


# --- Handed out ------------------------------------------------------------------------------------


def test_handed_out_and_again_over_the_old(home: Home, tmp_path: Path) -> None:
    folder = add(home)
    out = tmp_path / "new" / "out"
    hand_out(home, SITE, out)
    assert sorted(path.name for path in out.iterdir()) == ["gate-ca.pem", "server.key", "server.pem"]
    assert (out / "server.key").stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o700
    assert (out / "gate-ca.pem").read_bytes() == folder.authority.read_bytes()
    renew(folder_of(home, SITE), DUE)
    ends = hand_out(home, SITE, out)
    assert read_certificate(out / "server.pem").not_valid_after_utc == ends > DUE + timedelta(days=300)


@pytest.mark.parametrize("name", ["server.key", "server.pem", "gate-ca.pem"])
def test_a_strangers_file_is_not_overwritten(home: Home, tmp_path: Path, name: str) -> None:
    add(home)
    (tmp_path / name).write_text("somebody else's")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        hand_out(home, SITE, tmp_path)
    assert (tmp_path / name).read_text() == "somebody else's"


def test_another_upstreams_folder_is_not_overwritten(home: Home, tmp_path: Path) -> None:
    add(home)
    create(home, "other.test", ("other.test",), NOW)
    hand_out(home, SITE, tmp_path)
    with pytest.raises(InputError, match=r"not for the upstream of other\.test"):
        hand_out(home, "other.test", tmp_path)


def test_a_site_without_mutual_tls_has_nothing_to_hand_out(home: Home, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="not reached by mutual TLS"):
        hand_out(home, SITE, tmp_path)


# --- Told of ---------------------------------------------------------------------------------------


def test_what_status_says(home: Home, tmp_path: Path) -> None:
    add(home)
    soon = timedelta(days=30)
    (first,) = endings(home, caddyfile(home), NOW + soon)
    assert (first.upstream, first.not_after) == (SITE, None)
    assert "not given its certificate" in first.says
    hand_out(home, SITE, tmp_path / "out")
    assert endings(home, caddyfile(home), NOW + soon) == ()
    late = NOW + timedelta(days=340)
    assert [each.not_after is None for each in endings(home, caddyfile(home), late + soon)] == [False, False]
    renew(folder_of(home, SITE), late)
    (held,) = endings(home, caddyfile(home), late + soon)
    assert "that the upstream of mysite.test was given ends 2027-05-04" in held.says
    hand_out(home, SITE, tmp_path / "out")
    assert endings(home, caddyfile(home), late + soon) == ()
    assert endings(home, "# no such site\n", late + 100 * soon) == ()
