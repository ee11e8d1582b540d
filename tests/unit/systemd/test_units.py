# SPDX-License-Identifier: Apache-2.0
"""The units are the golden ones, and systemd itself judges them."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pivgate.errors import InputError
from pivgate.gate.admin import at_home
from pivgate.settings import SERVICE, Home
from pivgate.systemd.units import (
    CARE,
    TIMER,
    USER,
    Kept,
    care_text,
    service_text,
    sysusers_text,
    timer_text,
    written_by_us,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "systemd"
HOME = Home(Path("/var/lib/pivgate"))
KEPT = Kept(
    HOME,
    Path("/opt/pivgate/.venv/bin/caddy"),
    ("/opt/pivgate/.venv/bin/python", "-P", "-m", "pivgate", "--home", str(HOME.root)),
    at_home({}, HOME.admin_socket),
    {
        "CADDY_ADMIN": "unix//var/lib/pivgate/run/admin.sock|0200",
        "GODEBUG": "multipathtcp=0",
        "PIVGATE_CADDY": "/opt/pivgate/.venv/bin/caddy",
    },
)
# What `systemd-analyze security` may say at most, of 10: of the service it counts the network and low ports,
# of the other one that it is root's, too.
MOST = {SERVICE: 1.4, CARE: 3.5}


def texts(kept: Kept) -> dict[str, str]:
    return {
        SERVICE: service_text(kept),
        CARE: care_text(kept),
        TIMER: timer_text(),
        f"{USER}.conf": sysusers_text(kept.home),
    }


@pytest.mark.parametrize("name", [SERVICE, CARE, TIMER, f"{USER}.conf"])
def test_the_units_are_the_golden_ones(name: str) -> None:
    assert texts(KEPT)[name] == (GOLDEN / name).read_text()
    assert written_by_us((GOLDEN / name).read_bytes())


def test_a_unit_of_somebody_else_is_known() -> None:
    assert not written_by_us(b"[Unit]\n# Written by `pivgate up --systemd`")


@pytest.mark.parametrize(
    "word", ["/opt/my gate", "/opt/100%", "/opt/$HOME", '/opt/"x"', "/opt/x\nUser=root", ""]
)
def test_a_path_that_means_something_to_systemd_is_refused(word: str) -> None:
    for change in (
        {"home": Home(Path(word))},
        {"caddy": Path(word)},
        {"pivgate": (word,)},
        {"environment": {"PIVGATE_CADDY": word}},
    ):
        if word or "pivgate" in change:
            with pytest.raises(InputError, match="cannot be written into a unit"):
                replace(KEPT, **change)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with programs that are there."""
    folder = tmp_path_factory.mktemp("units")
    kept = replace(KEPT, caddy=Path(sys.executable), pivgate=(sys.executable,))
    for name, text in texts(kept).items():
        (folder / name).write_text(text)
    return folder


def analyze(*words: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout + done.stderr


def test_systemd_finds_no_fault_in_the_units(written: Path) -> None:
    said = analyze("verify", "--man=no", *(written / name for name in (SERVICE, CARE, TIMER)))
    assert "pivgate" not in said


@pytest.mark.parametrize("name", [SERVICE, CARE])
def test_systemd_counts_them_as_hardened(name: str, written: Path) -> None:
    limit = f"--threshold={MOST[name] * 10:.0f}"
    said = analyze("security", "--offline=true", "--no-pager", limit, written / name)
    assert float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1]) <= MOST[name]  # type: ignore[index]


def test_what_is_relaxed_is_found(written: Path, tmp_path: Path) -> None:
    """The judge has something to say."""
    text = (written / SERVICE).read_text()
    (tmp_path / SERVICE).write_text(text.replace(f"User={USER}\n", "").replace("NoNewPrivileges=yes\n", ""))
    with pytest.raises(AssertionError, match="exposure level"):
        analyze("security", "--offline=true", "--no-pager", "--threshold=14", tmp_path / SERVICE)
