# SPDX-License-Identifier: Apache-2.0
"""What pivgate does not do to a firewall, and what it says then."""

import sys

import pytest
from tests.interop.firewall.lab import PIVGATE, Box

pytestmark = pytest.mark.interop

WORDS = ("--port", "8000", "--gate", "10.77.0.2")
NOBODY = 65534


def refused(box: Box, *words: str, status: int = 1, user: int = 0, **more: str) -> str:
    """Accept a refusal that changes nothing; return what was said."""
    before = box.ruleset()
    done = box.pivgate("firewall", *words, user=user, **more)
    assert done.returncode == status, done
    assert done.stderr.startswith("Error: ")
    assert "What to do: " in done.stderr
    assert box.ruleset() == before
    return done.stderr


@pytest.mark.parametrize("verb", [("apply", *WORDS), ("undo", "--yes")])
def test_only_root_changes_it(upstream: Box, verb: tuple[str, ...]) -> None:
    assert "Only root" in refused(upstream, *verb, user=NOBODY)


@pytest.mark.parametrize("verb", [("apply", *WORDS), ("undo", "--yes")])
def test_a_table_of_somebody_elses(upstream: Box, verb: tuple[str, ...]) -> None:
    upstream.run("nft", 'add table inet pivgate { comment "somebody else\'s" ; }')
    assert "nft delete table inet pivgate" in refused(upstream, *verb)
    assert not (upstream.root / "etc" / "pivgate-firewall").exists()


@pytest.mark.parametrize("verb", [("apply", *WORDS), ("undo", "--yes")])
@pytest.mark.parametrize("name", ["pivgate-firewall.service", "nftables.service.d/pivgate-firewall.conf"])
def test_a_unit_of_somebody_elses(upstream: Box, name: str, verb: tuple[str, ...]) -> None:
    unit = upstream.root / "etc" / "systemd" / "system" / name
    unit.parent.mkdir(exist_ok=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    assert "was not written by pivgate" in refused(upstream, *verb)
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"


def test_a_machine_without_nft(upstream: Box) -> None:
    script = 'mount -t tmpfs none /usr/sbin && exec "$@"'
    done = upstream.run("sh", "-c", f"{script} 2>&1", "-", *_pivgate("apply", *WORDS), good=False)
    assert "no nft" in done
    assert "apt install nftables" in done


def _pivgate(*words: str) -> list[str]:
    return [str(PIVGATE), "firewall", *words]


@pytest.mark.parametrize("verb", [("apply", *WORDS), ("undo", "--yes")])
def test_root_who_may_not_change_the_network(upstream: Box, verb: tuple[str, ...]) -> None:
    words = ("setpriv", "--bounding-set=-net_admin", *_pivgate(*verb))
    said = upstream.run("sh", "-c", '"$@" 2>&1; true', "-", *words)
    assert "nft refuses: " in said
    assert "CAP_NET_ADMIN" in said
    assert not (upstream.root / "etc" / "pivgate-firewall").exists()


def test_rules_that_nft_does_not_know(upstream: Box) -> None:
    script = (
        "from pivgate.firewall import boot, install, nft\n"
        "from pivgate.errors import RefusedError\n"
        "try: install.apply('table inet pivgate { new words }', nft.find_nft(), boot.Places())\n"
        "except RefusedError as error: print(error.message)\n"
    )
    assert upstream.run(sys.executable, "-c", script).startswith("nft refuses: ")
    assert not (upstream.root / "etc" / "pivgate-firewall").exists()


def test_another_command_at_work(upstream: Box) -> None:
    lock = upstream.root / "run" / "pivgate-firewall.lock"
    holder = upstream.start("flock", "-x", "/run/pivgate-firewall.lock", "sh", "-c", "echo ready; cat")
    assert lock.exists()
    assert "at work on /run" in refused(upstream, "apply", *WORDS, status=9)
    holder.kill()


def test_nobody_is_there_to_be_asked(upstream: Box) -> None:
    upstream.good("firewall", "apply", *WORDS)
    assert "--yes" in refused(upstream, "undo", status=2)


def test_the_port_one_came_in_by(upstream: Box) -> None:
    session = {"SSH_CONNECTION": "10.77.0.3 50000 10.77.0.1 2222"}
    words = ("apply", "--port", "2000-3000", "--gate", "10.77.0.2")
    assert "lock you out" in refused(upstream, *words, status=2, **session)
    # As under sudo, which does not pass it on.
    behind = ("sh", "-c", 'env -u SSH_CONNECTION "$@" 2>&1; true', "-", *_pivgate(*words))
    assert "lock you out" in upstream.run("env", f"SSH_CONNECTION={session['SSH_CONNECTION']}", *behind)
    upstream.good("firewall", "apply", *WORDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "22", "--gate", "10.77.0.2"), "port 22"),
        (("--port", "1-65535", "--gate", "10.77.0.2"), "port 22"),
        (("--port", "8000"), "no --gate"),
        (("--port", "0", "--gate", "10.77.0.2"), "not a port"),
        (("--port", "8000; flush ruleset", "--gate", "10.77.0.2"), "not a port"),
        (("--port", "8000", "--gate", "0.0.0.0/0"), "everybody"),
        (("--port", "8000", "--gate", "::/0"), "everybody"),
        (("--port", "8000", "--gate", "app.internal"), "address of a gate"),
        (("--port", "8000", "--gate", "10.77.0.2", "--gate-user", "no-such-user"), "no user"),
        (("--gate", "10.77.0.2"), "no pivgate home"),
    ],
)
def test_what_cannot_be_closed(upstream: Box, words: tuple[str, ...], said: str) -> None:
    status = 3 if "home" in said else 2
    assert said in refused(upstream, "apply", *words, status=status)
    assert said in refused(upstream, "show", *words, status=status)


def test_a_disk_that_cannot_be_written(upstream: Box) -> None:
    script = 'mount -t tmpfs -o ro none /etc/systemd/system && exec "$@" 2>&1'
    said = upstream.run("sh", "-c", script, "-", *_pivgate("apply", *WORDS), good=False)
    assert "read-only" in said
    assert "pivgate" not in upstream.ruleset()
    upstream.good("firewall", "undo", "--yes")
