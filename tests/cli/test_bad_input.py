# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong is said in a sentence, with what to do next; and nothing is lost by it."""

import os
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

from pivgate.emulator.state_file import load, save
from pivgate.files import exclusive_lock
from tests.cli.conftest import PROGRAM, PUK, Machine, Result

ALICE = 31000001


@pytest.fixture
def founded(machine: Machine) -> Machine:
    machine.init()
    machine.good("user", "add", "alice")
    return machine


@pytest.fixture
def provisioned(founded: Machine) -> Machine:
    founded.plug_in(ALICE)
    assert founded.provision("alice", "--algorithm", "p256").status == 0
    return founded


def refused(result: Result, status: int, *words: str) -> None:
    """The command said what happened and what to do, with the documented exit status."""
    assert result.status == status, result
    assert result.err.startswith("Error: "), result.err
    assert "What to do: " in result.err
    for word in words:
        assert word in result.err


# The home


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


def in_namespace(machine: Machine, preparation: str, *arguments: str) -> Result:
    """Run pivgate where the file system is as the preparation makes it; nobody else sees that."""
    command = [sys.executable, str(PROGRAM), str(machine.port), "--home", str(machine.home.root), *arguments]
    script = f'{preparation} && exec "$@"'
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            *(["--map-root-user"] if os.geteuid() else []),
            "sh",
            "-c",
            script,
            "sh",
            *command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_read_only_home(founded: Machine) -> None:
    home = founded.home.root
    read_only = f"mount --bind {home} {home} && mount -o remount,bind,ro {home}"
    refused(in_namespace(founded, read_only, "user", "add", "bob"), 8, "Read-only", "writable")
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


def test_a_full_disk(founded: Machine) -> None:
    home = founded.home.root
    # The registry, copied to a file system that has no room for one more page.
    full = (
        f"mkdir {home}.full && mount -t tmpfs -o size=400k tmpfs {home}.full && cp -a {home}/. {home}.full/ "
        f"&& mount --move {home}.full {home} && (dd if=/dev/zero of={home}/filler bs=4k 2>/dev/null; true)"
    )
    refused(in_namespace(founded, full, "user", "add", "bob"), 8, "disk", "space")
    (home.parent / f"{home.name}.full").rmdir()
    founded.good("audit", "verify")


# Secrets


def test_a_wrong_passphrase(founded: Machine) -> None:
    founded.plug_in(ALICE)
    founded.secret("passphrase", "wrong")
    refused(founded.provision("alice"), 4, "passphrase")
    assert not list(founded.home.access.glob("*/*"))


def test_an_empty_passphrase_needs_to_be_asked_for(machine: Machine) -> None:
    refused(machine.run("init", "--passphrase-file", machine.secret("empty", "")), 2, "--no-passphrase")
    assert not machine.home.root.exists()


def test_no_passphrase_and_nobody_to_ask(machine: Machine) -> None:
    refused(machine.run("init"), 4, "--passphrase-file")


@pytest.fixture
def uncertified(provisioned: Machine) -> Machine:
    """Alice's key has its PIN, and its certificate was revoked: provisioning it again asks for the PIN."""
    provisioned.good("key", "revoke", "alice", "--yes")
    return provisioned


def test_a_wrong_pin_is_counted_and_said(uncertified: Machine) -> None:
    uncertified.secret("pin", "000000")
    refused(uncertified.provision("alice", "--replace"), 4, "Wrong PIN; 2 tries are left")


def test_the_last_try_is_left_to_the_holder(uncertified: Machine) -> None:
    uncertified.secret("pin", "000000")
    for _ in range(2):
        refused(uncertified.provision("alice", "--replace"), 4, "Wrong PIN")
    for _ in range(2):
        last = uncertified.provision("alice", "--replace")
        refused(last, 4, "Only one try is left", "--use-last-try", "reset-pin")
    refused(uncertified.provision("alice", "--replace", "--use-last-try"), 4, "blocked", "reset-pin")
    refused(uncertified.provision("alice", "--replace"), 4, "blocked", "pivgate key reset-pin")

    reset = ("key", "reset-pin", "--puk-file", uncertified.secrets["puk"])
    uncertified.good(*reset, "--pin-file", uncertified.secret("pin", "864209"))
    assert uncertified.provision("alice", "--replace", "--algorithm", "p256").status == 0


def test_a_wrong_and_then_a_blocked_puk(provisioned: Machine) -> None:
    reset = ("key", "reset-pin", "--pin-file", provisioned.secret("new", "864209"), "--puk-file")
    wrong = provisioned.secret("wrong", "00000000")
    refused(provisioned.run(*reset, wrong), 4, "Wrong PUK; 2 tries are left")
    provisioned.run(*reset, wrong)
    refused(provisioned.run(*reset, wrong), 4, "Only one try is left for the PUK")
    refused(provisioned.run(*reset, wrong, "--use-last-try"), 4, "blocked", "ykman piv reset")
    refused(provisioned.run(*reset, provisioned.secret("right", PUK)), 4, "blocked", "ykman piv reset")


@pytest.mark.parametrize(
    ("pin", "word"),
    [("12345", "6 to 8"), ("123456789", "6 to 8"), ("123456", "factory"), ("ünïcode", "ASCII")],
)
def test_a_pin_that_breaks_the_rules(founded: Machine, pin: str, word: str) -> None:
    founded.plug_in(ALICE)
    founded.secret("pin", pin)
    refused(founded.provision("alice"), 2, word)


# The key


def test_no_key_is_plugged_in(founded: Machine) -> None:
    refused(founded.provision("alice"), 5, "no YubiKey")


def test_several_keys_and_no_serial_are_listed(founded: Machine) -> None:
    founded.plug_in(ALICE)
    founded.plug_in(ALICE + 1)
    refused(founded.provision("alice"), 5, "--serial", str(ALICE), str(ALICE + 1))
    assert founded.provision("alice", "--serial", str(ALICE + 1)).status == 0


def test_piv_switched_off_is_switched_on(founded: Machine) -> None:
    founded.plug_in(ALICE)
    disable_piv(founded, lock_code=None)
    assert founded.good("key", "list", "--json").json()["plugged_in"][0]["piv"] == "off"
    assert founded.provision("alice").status == 0


def test_piv_switched_off_and_locked_by_a_code(founded: Machine) -> None:
    founded.plug_in(ALICE)
    disable_piv(founded, lock_code=bytes(range(16)))
    refused(founded.provision("alice"), 5, "a configuration code locks", "ykman config")


def disable_piv(machine: Machine, lock_code: bytes | None) -> None:
    from smartcard.Exceptions import CardConnectionException
    from yubikit.core import TRANSPORT
    from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession

    from pivgate.emulator.connection import EmulatedDevice

    path = machine.port / f"{ALICE}.json"
    yubikey = load(path)
    with EmulatedDevice(yubikey).open() as connection:
        others = CAPABILITY.OTP | CAPABILITY.FIDO2 | CAPABILITY.OATH
        config = DeviceConfig({TRANSPORT.USB: others}, None, None, None)
        ManagementSession(connection).write_device_config(config, True, None, lock_code)
        with suppress(CardConnectionException):  # the key has restarted meanwhile
            connection.close()
    path.unlink()
    save(yubikey, path)


@pytest.mark.filterwarnings("ignore:Deprecated. use x509.Name:DeprecationWarning")
def test_a_foreign_certificate_is_not_overwritten(founded: Machine) -> None:
    founded.plug_in(ALICE)
    install_foreign_certificate(founded)
    before = (founded.port / f"{ALICE}.json").read_text()
    refused(founded.provision("alice"), 5, "--replace")
    assert (founded.port / f"{ALICE}.json").read_text() == before
    assert founded.provision("alice", "--replace").status == 0


def install_foreign_certificate(machine: Machine) -> None:
    from datetime import UTC, datetime, timedelta

    from ykman.piv import generate_self_signed_certificate
    from yubikit.piv import KEY_TYPE, SLOT, PivSession

    from pivgate.emulator.connection import EmulatedDevice

    path = machine.port / f"{ALICE}.json"
    yubikey = load(path)
    with EmulatedDevice(yubikey).open() as connection:
        piv = PivSession(connection)
        piv.authenticate(bytes.fromhex("010203040506070801020304050607080102030405060708"))
        public_key = piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
        piv.verify_pin("123456")
        now = datetime.now(UTC)
        certificate = generate_self_signed_certificate(
            piv, SLOT.AUTHENTICATION, public_key, "CN=somebody else", now, now + timedelta(days=9)
        )
        piv.put_certificate(SLOT.AUTHENTICATION, certificate)
    path.unlink()
    save(yubikey, path)


# Time


def test_an_expired_authority_signs_nothing(founded: Machine) -> None:
    founded.plug_in(ALICE)
    result = founded.provision("alice", environment={"DAYS_FROM_NOW": "3651"})
    refused(result, 1, "authority ended")
    assert not list(founded.home.access.glob("*/*"))


def test_a_clock_before_the_authoritys_start(founded: Machine) -> None:
    founded.plug_in(ALICE)
    result = founded.provision("alice", environment={"DAYS_FROM_NOW": "-2"})
    refused(result, 1, "clock")


# The gate


def test_caddy_missing(founded: Machine) -> None:
    refused(founded.run("up", environment={"PIVGATE_CADDY": "/nowhere/caddy"}), 6, "/nowhere/caddy")


def test_caddy_too_old(founded: Machine) -> None:
    old = founded.root / "caddy"
    old.write_text("#!/bin/sh\necho v2.10.0 h1:x\n")
    old.chmod(0o755)
    refused(founded.run("up", environment={"PIVGATE_CADDY": str(old)}), 6, "too old", "2.11.4")


def test_a_port_in_use(founded: Machine) -> None:
    founded.good("site", "add", "app.localhost", "127.0.0.1:9")
    with socket.create_server(("127.0.0.1", founded.https_port)):
        refused(founded.run("up"), 6, str(founded.https_port), "in use")
    assert founded.run("status").status == 6
    founded.good("up")


def test_a_caddyfile_that_does_not_adapt_is_named_with_its_line(founded: Machine) -> None:
    with founded.home.caddyfile.open("a") as file:
        file.write("\nother.localhost {\n\tno_such_directive\n}\n")
    lines = founded.home.caddyfile.read_text().splitlines()
    number = lines.index("\tno_such_directive") + 1
    refused(founded.run("up"), 6, f"Caddyfile:{number}", "no_such_directive")


def test_a_site_that_is_refused_leaves_the_caddyfile_as_it_was(founded: Machine) -> None:
    with founded.home.caddyfile.open("a") as file:
        file.write("\nother.localhost {\n\tno_such_directive\n}\n")
    before = founded.home.caddyfile.read_bytes()
    refused(founded.run("site", "add", "app.localhost", "127.0.0.1:9"), 6, "no_such_directive")
    assert founded.home.caddyfile.read_bytes() == before


# Names

CONTROL, LONG, RTL = "al\nice", "a" * 300, "al\u202eice"


@pytest.mark.parametrize("name", [CONTROL, LONG, RTL, "", "../x", "-rf", "al ice", "a,CN=root", "{env.HOME}"])
def test_names_that_cannot_be(founded: Machine, name: str) -> None:
    for command in (["user", "add"], ["group", "add"]):
        result = founded.run(*command, "--", name)
        refused(result, 2)
        assert "\u202e" not in result.err
        assert len(result.err) < 600
    assert [row["user"] for row in founded.good("user", "list", "--json").json()] == ["alice"]


@pytest.mark.parametrize("address", [CONTROL, RTL, "a b", "x{y}", "app.localhost {\n}\nopen.localhost", ""])
def test_sites_that_cannot_be(founded: Machine, address: str) -> None:
    before = founded.home.caddyfile.read_bytes()
    refused(founded.run("site", "add", "--", address, "127.0.0.1:9"), 2)
    refused(founded.run("site", "add", "--", "app.localhost", address), 2)
    assert founded.home.caddyfile.read_bytes() == before


@pytest.mark.parametrize("option", ["--display-name", "--email"])
@pytest.mark.parametrize("text", [CONTROL, LONG, RTL])
def test_what_people_are_called(founded: Machine, option: str, text: str) -> None:
    refused(founded.run("user", "add", "bob", option, text), 2)


def test_who_and_what_is_not_there(founded: Machine) -> None:
    for command in (
        ["user", "show", "nobody"],
        ["user", "remove", "nobody", "--yes"],
        ["group", "join", "nothing", "alice"],
        ["group", "members", "nothing"],
        ["key", "show", "1"],
        ["key", "verify", "1"],
        ["key", "lost", "1"],
        ["key", "revoke", "nobody", "--yes"],
    ):
        refused(founded.run(*command), 3)


def test_nothing_is_destroyed_without_a_yes(provisioned: Machine) -> None:
    for command in (["key", "revoke", "alice"], ["user", "remove", "alice"]):
        refused(provisioned.run(*command), 2, "--yes")
    assert list(provisioned.home.access.glob("*/*"))


def test_an_unknown_command_is_a_usage_error(machine: Machine) -> None:
    result = machine.run("frobnicate")
    assert result.status == 2
    assert "frobnicate" in result.err
    assert machine.run("user", "frobnicate").status == 2


def test_output_to_a_reader_that_has_gone(founded: Machine) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pivgate", "--home", str(founded.home.root), "audit", "log"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1
