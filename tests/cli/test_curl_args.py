# SPDX-License-Identifier: Apache-2.0
"""``pivgate curl-args``: the curl of this machine logs in with the flags that it prints, through OpenSC.

wget and openssl do so with what the guide says, which is the same URI.
"""

import json
import os
import pty
import select
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivgate.client.curl import Machine as Tools
from pivgate.client.curl import Module, curl_command
from pivgate.client.curl_found import find_curl, find_machine
from tests.card_table import new_key
from tests.cli.card_machine import CardMachine, card_machine
from tests.cli.conftest import ALICE, PIN, refused
from tests.cli.upstream import running_app

SITE = "localhost"
BOB = ALICE + 1


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardMachine]:
    with (
        running_app(tmp_path_factory.mktemp("files")) as app,
        card_machine(new_key(serial=ALICE), new_key("5.4.3", BOB)) as machine,
    ):
        machine.init()
        for user, serial in (("alice", ALICE), ("bob", BOB)):
            machine.good("user", "add", user)
            assert machine.provision(user, "--serial", str(serial), "--algorithm", "p256").status == 0
        machine.good("site", "add", SITE, app)
        machine.good("up")
        yield machine


def shell(gate: CardMachine, script: str, *, shell: str = "sh") -> "subprocess.CompletedProcess[str]":
    """Run a script as a person would type it, with ``pivgate`` and the site's ``$URL``."""
    return subprocess.run(
        [shell, "-c", f'pivgate() {{ {shlex.join(gate.command())} "$@"; }}\n{script}'],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **gate.table.environment,
            "URL": f"https://{SITE}:{gate.https_port}/headers",
            "PIN_FILE": str(gate.secrets["pin"]),
            "CA": str(root(gate)),
            "NO_COLOR": "1",
        },
    )


def root(gate: CardMachine) -> Path:
    return gate.home.caddy_storage / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def user(done: "subprocess.CompletedProcess[str]") -> str:
    """Return who the site says has called."""
    assert done.returncode == 0, done
    sent: dict[str, str] = {name.lower(): value for name, value in json.loads(done.stdout)}
    return sent["x-client-user"]


@pytest.mark.parametrize("program", ["sh", "bash"])
@pytest.mark.parametrize(
    "script",
    [
        'curl -sS $(pivgate curl-args --serial {serial} --pin-file "$PIN_FILE" "$URL")',
        'eval "$(pivgate curl-args --shell --serial {serial} --pin-file "$PIN_FILE" "$URL")" -sS',
        'curl -sS $(pivgate curl-args --serial {serial} --ca "$CA" --pin-file "$PIN_FILE" "$URL")',
    ],
)
def test_the_flags_work(gate: CardMachine, program: str, script: str) -> None:
    for serial, name in ((ALICE, "alice"), (BOB, "bob")):
        assert user(shell(gate, script.format(serial=serial), shell=program)) == name


def test_the_pin_is_asked_for_in_the_terminal_and_is_in_no_argument(gate: CardMachine) -> None:
    done = gate.good(
        "curl-args", "--serial", str(ALICE), "--shell", f"https://{SITE}:{gate.https_port}/headers"
    )
    assert PIN not in done.out
    assert "pin-" not in done.out
    answer = typed([*shlex.split(done.out), "-sS"], gate.table.environment, PIN)
    assert '"alice"' in answer
    assert "PIN" in answer


def typed(command: list[str], environment: dict[str, str], secret: str) -> str:
    """Run a command in a terminal; type a secret once it asks for a PIN."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted
    shown, asked = b"", False
    try:
        while select.select([terminal], [], [], 20)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the command has ended
                break
            shown += piece
            if b"PIN" in shown and not asked:
                os.write(terminal, f"{secret}\n".encode())
                asked = True
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    return shown.decode()


def test_pulled_out_what_has_begun_goes_on_and_nothing_new_begins(gate: CardMachine) -> None:
    url = f"https://{SITE}:{gate.https_port}/slow"
    flags = gate.good("curl-args", "--serial", str(ALICE), "--pin-file", gate.secrets["pin"], url).out
    command = ["curl", "-sSN", *shlex.split(flags)]
    environment = gate.table.environment
    reader = gate.table.readers[0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as begun:
        assert begun.stdout is not None
        assert begun.stdout.readline() == "data: first\n"
        reader.remove()
        try:
            assert "data: second\n" in begun.stdout.read()
            assert begun.wait(20) == 0
            after = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        finally:
            reader.insert()
            reader.await_power(10)
    assert after.returncode != 0
    assert after.stdout == ""


def test_yubicos_module_does_it_too(gate: CardMachine) -> None:
    found = next(Path("/usr/lib").glob("*-linux-gnu*/libykcs11.so.2"))
    command = curl_command(
        find_curl(),
        Tools(Module(found, is_yubicos=True), engine=True, provider=False),
        f"https://{SITE}:{gate.https_port}/headers",
        authority=root(gate),
        pin_file=gate.secrets["pin"],
        token_serial=str(ALICE),
    )
    assert command.needs_variable
    done = subprocess.run(
        ["curl", "-sS", *command.flags],
        capture_output=True,
        text=True,
        check=False,
        env={**gate.table.environment, "PKCS11_MODULE_PATH": str(command.module_path)},
    )
    assert user(done) == "alice"


def test_wget(gate: CardMachine) -> None:
    uri = "pkcs11:manufacturer=piv_II;serial=$SERIAL;id=%01"
    done = shell(
        gate,
        f"""SERIAL=$(pivgate curl-args --serial {BOB} "$URL" | sed 's/.*serial=\\([0-9a-f]*\\);.*/\\1/')
        wget -q -O- --tries=1 --ca-certificate="$CA" --certificate="{uri};type=cert" \
            --private-key="{uri};type=private?pin-source=$PIN_FILE" "$URL" """,
    )
    assert user(done) == "bob"


def test_openssl(gate: CardMachine) -> None:
    certificate = gate.root / "alice.pem"
    subprocess.run(
        ["ykman", "--device", str(ALICE), "piv", "certificates", "export", "9a", certificate],
        check=True,
        env=gate.table.environment,
    )
    uri = f"pkcs11:manufacturer=piv_II;serial={find_serial(gate)};id=%01;type=private"
    there = f"{SITE}:{gate.https_port}"
    done = shell(
        gate,
        f"""printf 'GET /headers HTTP/1.0\\r\\nHost: {there}\\r\\n\\r\\n' |
        openssl s_client -quiet -connect {there} -servername {SITE} -CAfile "$CA" -verify_return_error \
            -cert {certificate} -engine pkcs11 -keyform engine -key "{uri};pin-source=file:$PIN_FILE" """,
    )
    assert '"alice"' in done.stdout, done


def find_serial(gate: CardMachine) -> str:
    flags = gate.good("curl-args", "--serial", str(ALICE), f"https://{SITE}/").out
    return flags.partition("serial=")[2].partition(";")[0]


def test_names_that_a_public_authority_certifies_are_left_to_curl(gate: CardMachine) -> None:
    assert "--cacert" not in gate.good("curl-args", "https://mysite.com/").out
    assert f"--cacert {root(gate)}" in gate.good("curl-args", "https://app.internal/").out


def test_what_a_shell_would_take_apart_is_refused(gate: CardMachine, tmp_path: Path) -> None:
    odd = tmp_path / "a name.pem"
    odd.write_bytes(root(gate).read_bytes())
    refused(gate.run("curl-args", "--ca", odd, "https://mysite.com/"), 2, "--shell", "eval")
    url = f"https://{SITE}:{gate.https_port}/headers"
    line = (
        f'eval "$(pivgate curl-args --shell --serial {ALICE} --ca "{odd}" --pin-file "$PIN_FILE" {url})" -sS'
    )
    assert user(shell(gate, line)) == "alice"
    refused(gate.run("curl-args", "http://mysite.com/"), 2, "over http://")


def test_a_pin_file_that_would_spend_a_try_is_refused(gate: CardMachine) -> None:
    file = gate.secret("line", f"{PIN}\n")
    refused(gate.run("curl-args", "--pin-file", file, "https://mysite.com/"), 2, "line end", "truncate -s -1")
    os.truncate(file, len(PIN))
    assert "pin-source" in gate.good("curl-args", "--pin-file", file, "https://mysite.com/").out


def test_no_curl(gate: CardMachine, tmp_path: Path) -> None:
    done = gate.run("curl-args", "https://mysite.com/", environment={"PATH": str(tmp_path)})
    refused(done, 2, "no curl", "apt install curl")


def test_this_machine_has_what_it_takes() -> None:
    machine = find_machine(find_curl().backend_version)
    assert machine.engine
    assert machine.module is not None
    assert machine.module.registered
