# SPDX-License-Identifier: Apache-2.0
"""Closed streams, numbers and paths without end, devices in the place of files: never a traceback."""

import os
import pty
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Machine, Result, refused

KEY_PAIR = (
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=a",
)


def in_shell(machine: Machine, words: str, *arguments: str | Path) -> Result:
    """Run pivgate from a shell, which closes or redirects streams as the words say."""
    command = [sys.executable, "-m", "pivgate", "--home", machine.home.root, *arguments]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {words}', "sh", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def test_homes_that_cannot_be(machine: Machine) -> None:
    refused(machine.run("--home", "/tmp/" + "x" * 300, "status"), 3, "cannot be a pivgate home")  # noqa: S108
    refused(machine.run("--home", "/dev/null", "init", "--no-passphrase"), 3, "is not a folder")
    empty = machine.run("--home", "", "status")
    assert (empty.status, "it is empty" in empty.err) == (2, True)


@pytest.mark.parametrize(
    "listen", ["foo { bar", "999.1.1.1", "::1%eth0 {", "-x", "a..b", "x" * 64, "127.0.0.1:80", "a\n"]
)
def test_addresses_that_nobody_can_listen_on(listen: str, machine: Machine) -> None:
    refused(machine.run("init", "--no-passphrase", "--listen", listen), 2, "no address to listen on")
    assert not machine.home.root.exists()


@pytest.mark.parametrize("listen", ["::1", "gate-1.example.com", "localhost"])
def test_addresses_to_listen_on(listen: str, machine: Machine) -> None:
    machine.good("init", "--no-passphrase", "--listen", listen)


def test_one_port_cannot_be_both(machine: Machine) -> None:
    ports = ("--http-port", "8443", "--https-port", "8443")
    refused(machine.run("init", "--no-passphrase", *ports), 2, "cannot be for both")


def test_a_passphrase_without_end(machine: Machine) -> None:
    refused(machine.run("init", "--passphrase-file", "/dev/zero"), 4, "longer than")


def test_strangers_things_beside_the_home_are_left_alone(machine: Machine) -> None:
    prefix = f".{machine.home.root.name}.new-"
    beside = machine.root / f"{prefix}file"
    beside.write_text("mine")
    (machine.root / f"{prefix}link").symlink_to(machine.drawer)
    machine.init()
    assert beside.read_text() == "mine"
    assert machine.drawer.is_dir()


def test_numbers_without_end(founded: Machine) -> None:
    everything = founded.good("audit", "log").out
    for number in ("99999999999999999999999", str(2**63 - 1)):
        assert founded.good("audit", "log", "--last", number).out == everything
    refused(founded.run("key", "revoke", "9" * 5000, "--yes"), 3)


def test_standard_input_that_is_closed(founded: Machine) -> None:
    refused(in_shell(founded, "<&-", "user", "remove", "alice"), 2, "--yes")
    refused(in_shell(founded, "<&-", "ca", "crl"), 4, "nobody to ask")
    refused(in_shell(founded, "<&-", "ca", "crl", "--passphrase-file", "-"), 4, "closed")


def test_standard_output_that_is_closed(founded: Machine) -> None:
    secret = ("--passphrase-file", founded.secrets["passphrase"])
    refused(in_shell(founded, ">&-", "ca", "crl", *secret), 8, "closed")
    refused(in_shell(founded, ">&-", "ca", "export"), 8, "closed")
    refused(founded.run("ca", "crl", *secret, "--out", founded.root / "no" / "crl"), 8, "no folder")
    assert in_shell(founded, ">&-", "user", "list").status == 0
    assert in_shell(founded, ">&- 2>&- <&-", "user", "list").status == 0
    assert in_shell(founded, "2>&-", "frobnicate").status == 2
    # No number of a list was used up by those that nobody got.
    assert "Revocation list 1:" in founded.good("ca", "crl", *secret).err


def test_a_full_disk_behind_standard_output(founded: Machine) -> None:
    for command in (("audit", "log"), ("ca", "export")):
        refused(in_shell(founded, ">/dev/full", *command), 8, "No space left")


def test_what_is_no_file_is_written_to_and_not_replaced(founded: Machine) -> None:
    target, link, pipe = (founded.root / name for name in ("target", "link", "pipe"))
    target.write_text("old")
    link.symlink_to(target)
    founded.good("ca", "export", "--out", link)
    assert link.is_symlink()
    assert target.read_text().startswith("-----BEGIN CERTIFICATE-----")
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        founded.good("ca", "export", "--out", pipe)
        assert reader.communicate(timeout=30)[0] == target.read_text()
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    full = founded.root / "full"
    full.symlink_to("/dev/full")
    refused(founded.run("ca", "export", "--out", full), 8, "No space left")
    assert full.is_symlink()


def test_everyone_is_no_group_to_be_put_into(founded: Machine) -> None:
    refused(founded.run("user", "add", "bob", "--group", "everyone"), 2, "everyone")
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


def test_certificates_of_sites_that_cannot_be(founded: Machine) -> None:
    mine, key, other, otherkey, sealed = (founded.root / f"{name}.pem" for name in "abcde")
    for certificate, private in ((mine, key), (other, otherkey)):
        subprocess.run(
            ["openssl", *KEY_PAIR, "-keyout", private, "-out", certificate], check=True, capture_output=True
        )
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", sealed, "-passout", "pass:hunter2"],
        check=True,
        capture_output=True,
    )
    before = founded.home.caddyfile.read_bytes()
    for certificate, private, word in (
        (mine, otherkey, "does not belong"),
        (key, key, "does not begin with a certificate"),
        (mine, mine, "is not a private key"),
        (mine, sealed, "is not a private key"),
        ("/dev/null", key, "not a regular file"),
        (mine, "/dev/null", "not a regular file"),
    ):
        pair = ("--certificate", certificate, "--key", private)
        refused(founded.run("site", "add", "own.example.com", "127.0.0.1:9", *pair), 2, word)
    for pair in (
        ("--certificate", founded.root, "--key", key),
        ("--certificate", mine, "--key", founded.root),
    ):
        result = founded.run("site", "add", "own.example.com", "127.0.0.1:9", *pair)
        assert (result.status, "is a directory" in result.err) == (2, True)
    assert founded.home.caddyfile.read_bytes() == before


def test_ctrl_c_at_a_question_does_not_claim_that_something_was_begun(founded: Machine) -> None:
    process, terminal = pty.fork()
    if process == 0:
        command = [
            sys.executable,
            "-m",
            "pivgate",
            "--home",
            str(founded.home.root),
            "user",
            "remove",
            "alice",
        ]
        os.execv(sys.executable, command)  # noqa: S606
    shown = b""
    while b"go on" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while True:
        # What is typed before the question is ready is thrown away: press the keys again then.
        if not select.select([terminal], [], [], 2)[0]:
            os.write(terminal, b"\x03")
            continue
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # the other side has closed its terminal
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert b"If something was begun" in shown


@pytest.mark.parametrize("module", ["click", "pivgate.cli.commands", "pivgate.errors"])
def test_ctrl_c_while_modules_are_loaded(module: str) -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.{signal.SIGINT.name})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from pivgate.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")
