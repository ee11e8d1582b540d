# SPDX-License-Identifier: Apache-2.0
"""A home that is missing, damaged, full, read-only or in use: said in a sentence, and nothing is lost."""

import os
import subprocess
import sys

from pivgate.files import exclusive_lock
from tests.cli.conftest import Machine, refused


def test_no_home(machine: Machine) -> None:
    for command in (["status"], ["up"], ["user", "add", "alice"], ["audit", "verify"], ["ca", "show"]):
        refused(machine.run(*command), 3, "no pivgate home", "pivgate init")


def test_a_home_is_not_founded_twice(founded: Machine) -> None:
    before = founded.home.authority_certificate.read_bytes()
    refused(
        founded.run("init", "--passphrase-file", founded.secrets["passphrase"]), 3, "already a pivgate home"
    )
    assert founded.home.authority_certificate.read_bytes() == before


def test_a_folder_with_something_in_it_is_left_alone(machine: Machine) -> None:
    machine.home.root.mkdir()
    (machine.home.root / "thesis.txt").write_text("mine")
    refused(machine.run("init", "--no-passphrase"), 3, "not empty")
    assert [path.name for path in machine.home.root.iterdir()] == ["thesis.txt"]


def test_a_home_with_too_long_a_path(machine: Machine) -> None:
    long = machine.root / ("x" * 100)
    refused(machine.run("--home", long, "init", "--no-passphrase"), 3, "too long", "shorter path")


def test_an_init_that_was_killed_leaves_nothing_that_counts(machine: Machine) -> None:
    code = (
        "import os, signal, sys; from pivgate.enrolment import founding; "
        "founding._settings_text = lambda plan: os.kill(os.getpid(), signal.SIGKILL); "
        "from pivgate.cli.main import main; sys.argv[0] = 'pivgate'; main()"
    )
    arguments = ["--home", str(machine.home.root), "init", "--no-passphrase"]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True)
    assert killed.returncode == -9
    assert not machine.home.root.exists()
    machine.init()
    machine.good("audit", "verify")
    assert not [path.name for path in machine.root.iterdir() if ".new-" in path.name]


def test_a_second_instance_waits_and_then_says_who_is_at_work(founded: Machine) -> None:
    with exclusive_lock(founded.home.lock):
        refused(founded.run("user", "add", "bob"), 9, "is at work", f"process {os.getpid()}")
    founded.good("user", "add", "bob")


def test_damaged_settings_are_named_with_line_and_column(founded: Machine) -> None:
    founded.home.settings.write_text("client_days = 365\ncontact = 'unclosed\n")
    refused(founded.run("status"), 8, "settings.toml", "line 2, column")


def test_a_damaged_registry(founded: Machine) -> None:
    founded.home.registry.write_bytes(b"this is not a database" * 1000)
    refused(founded.run("user", "list"), 8, "registry.sqlite")


def test_a_missing_registry_is_not_replaced_by_an_empty_one(founded: Machine) -> None:
    founded.home.registry.unlink()
    refused(founded.run("user", "list"), 3, "registry")
    assert not founded.home.registry.exists()


def test_a_damaged_authority_certificate(founded: Machine) -> None:
    founded.home.authority_certificate.write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    refused(founded.run("ca", "show"), 8, "ca.pem is damaged", "backup")


def test_a_read_only_home(founded: Machine) -> None:
    founded.good("audit", "verify")
    everything = [founded.home.root, *founded.home.root.rglob("*")]
    modes = [path.stat().st_mode for path in everything]
    for path in everything:
        path.chmod(0o500 if path.is_dir() else 0o400)
    # Without the privilege to pass over permissions, so that it holds for root as well.
    unprivileged = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    try:
        refused(founded.run("user", "add", "bob", under=unprivileged), 8, "Cannot", "owns the home")
    finally:
        for path, mode in zip(everything, modes, strict=True):
            path.chmod(mode)
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


def test_a_full_disk(founded: Machine) -> None:
    # A limit on the size of files makes the kernel refuse a write in the middle, as a full disk does.
    refused(founded.run("user", "add", "bob", under=("prlimit", "--fsize=2000")), 8, "disk", "space")
    founded.good("audit", "verify")
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


def test_no_pcsc_service_is_said_to_people_and_to_programs(founded: Machine) -> None:
    for arguments in (["key", "list"], ["key", "list", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "pivgate", "--home", str(founded.home.root), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PCSCLITE_CSOCK_NAME": str(founded.root / "nobody")},
        )
        assert "does not answer" in done.stderr
        assert "systemctl start pcscd" in done.stderr
        assert done.stderr.count("PC/SC") == 1
