# SPDX-License-Identifier: Apache-2.0
"""Programs of the command line at the gate, with the key behind OpenSC's PKCS#11 module."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.card_table import CardTable, card_table, new_key
from tests.interop.browsers.stage import CLOSED_SITE, OPEN_SITE, PIN, WRONG_PIN, Stage, new_serial, stage

CERTIFICATE = "pkcs11:manufacturer=piv_II;id=%01;type=cert"
PRIVATE_KEY = "pkcs11:manufacturer=piv_II;id=%01;type=private"

# glibc of Debian 12 does not know that names below localhost are this machine (RFC 6761, section 6.3).
WITH_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@dataclass(frozen=True)
class Terminal:
    """A person at a terminal, with their key plugged in."""

    stage: Stage
    table: CardTable

    def curl(self, site: str, *more: str | Path, pin: str = "pin") -> "subprocess.CompletedProcess[str]":
        return self.table.run(
            *("curl", "-sS", "--cacert", self.stage.server_authority, "--cert", CERTIFICATE),
            *("--key", f"{PRIVATE_KEY};pin-source=file:{self.stage.root / pin}"),
            *more,
            self.stage.url(site),
        )

    def wget(self, site: str, *identity: str) -> "subprocess.CompletedProcess[str]":
        hosts = self.stage.root / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {site}\n")
        return self.table.run(
            *("unshare", "--mount", "sh", "-c", WITH_HOSTS, "sh", hosts),
            *("wget", "--tries=1", "--timeout=20", "-O-", "--ca-certificate", self.stage.server_authority),
            *identity,
            self.stage.url(site),
        )


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    serial = new_serial()
    with stage() as built, card_table(new_key("5.7.4", serial)) as table:
        built.run("user", "add", "alice")
        built.provision(table, "alice", serial, "p256")
        (built.root / "wrong-pin").write_text(WRONG_PIN)
        table.environment["PKCS11_MODULE_PATH"] = str(next(Path("/usr/lib").glob("*/opensc-pkcs11.so")))
        yield Terminal(built, table)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_logs_in_with_one_signature_for_many_requests(terminal: Terminal, version: str) -> None:
    before = terminal.table.signatures()
    more = ["--tls-max", version, *[terminal.stage.url(OPEN_SITE, path) for path in ("/second", "/third")]]
    done = terminal.curl(OPEN_SITE, *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('<b id="user">alice</b>') == 3
    assert terminal.table.signatures() - before == 1


def test_curl_without_a_key_is_refused_in_the_handshake(terminal: Terminal) -> None:
    done = terminal.table.run(
        "curl", "-sS", "--cacert", terminal.stage.server_authority, terminal.stage.url(OPEN_SITE)
    )
    assert done.returncode != 0
    assert done.stdout == ""


def test_curl_with_a_wrong_pin_sends_nothing(terminal: Terminal) -> None:
    done = terminal.curl(OPEN_SITE, pin="wrong-pin")
    assert done.returncode != 0
    assert done.stdout == ""
    # The right one gives the tries back.
    assert terminal.curl(OPEN_SITE).returncode == 0


def test_curl_reads_our_page_at_a_site_of_another_group(terminal: Terminal) -> None:
    done = terminal.curl(CLOSED_SITE, "--write-out", "%{http_code}")
    assert done.stdout.startswith("refused: Your key is in order, but this site is for the group finance")
    assert "Ask Carol, room 12" in done.stdout
    assert done.stdout.endswith("403")


def test_wget_logs_in(terminal: Terminal) -> None:
    before = terminal.table.signatures()
    pin = f"?pin-source={terminal.stage.root / 'pin'}"
    done = terminal.wget(OPEN_SITE, f"--certificate={CERTIFICATE}", f"--private-key={PRIVATE_KEY}{pin}")
    assert done.returncode == 0, done.stderr
    assert '<b id="user">alice</b>' in done.stdout
    assert terminal.table.signatures() > before


def test_wget_without_a_key_is_refused(terminal: Terminal) -> None:
    done = terminal.wget(OPEN_SITE)
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client_logs_in(terminal: Terminal, version: str, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    exported = terminal.table.run("ykman", "piv", "certificates", "export", "9a", certificate)
    assert exported.returncode == 0, exported.stderr
    address = f"{OPEN_SITE}:{terminal.stage.port}"
    done = terminal.table.run(
        *("openssl", "s_client", version, "-quiet", "-verify_return_error"),
        *("-connect", f"127.0.0.1:{terminal.stage.port}", "-servername", OPEN_SITE),
        *("-CAfile", terminal.stage.server_authority, "-cert", certificate),
        *("-engine", "pkcs11", "-keyform", "engine"),
        *("-key", f"{PRIVATE_KEY};pin-value={PIN}"),
        given=f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n",
    )
    assert done.stdout.startswith("HTTP/1.1 200 OK"), done
    assert '<b id="user">alice</b>' in done.stdout
