# SPDX-License-Identifier: Apache-2.0
"""Where the service is refused, before anything is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pivgate.cli import gate_systemd
from pivgate.errors import InputError, RefusedError
from pivgate.settings import Home
from pivgate.systemd.install import create_user, is_begun, is_of
from pivgate.systemd.ownership import check_home
from pivgate.systemd.places import Places
from pivgate.systemd.units import sysusers_text

HOME = Home(Path("/var/lib/pivgate"))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.units.mkdir(parents=True)
    places.user.parent.mkdir()
    return places


def files(places: Places) -> list[Path]:
    return sorted(path for path in places.root.rglob("*") if path.is_file())


def test_where_there_is_no_systemd_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no systemd on this machine"):
        create_user(HOME, Places(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["service", "care", "timer", "user"])
def test_a_file_of_somebody_else_is_left_alone(name: str, places: Places) -> None:
    path: Path = getattr(places, name)
    path.write_text("[Unit]\n")
    with pytest.raises(RefusedError, match=f"{path.name} was not written by pivgate"):
        create_user(HOME, places)
    with pytest.raises(RefusedError, match="not written by pivgate"):
        is_begun(places)
    assert files(places) == [path]
    assert path.read_text() == "[Unit]\n"


def test_the_service_of_another_home_is_left_alone(places: Places) -> None:
    text = sysusers_text(Home(Path("/srv/gate")))
    places.user.write_text(text)
    assert is_begun(places)
    assert not is_of(HOME, places)
    assert is_of(Home(Path("/srv/gate")), places)
    with pytest.raises(RefusedError, match="another home already"):
        create_user(HOME, places)
    assert places.user.read_text() == text


@pytest.mark.parametrize(
    "root",
    ["/home/alice/gate", "/root", "/tmp/gate", "/var/tmp/gate", "/run/user/0/gate"],  # noqa: S108
)
def test_a_home_that_services_do_not_see_is_refused(root: str) -> None:
    with pytest.raises(InputError, match="is closed to it") as caught:
        check_home(Home(Path(root)))
    assert "/var/lib/pivgate" in caught.value.hint


def test_a_home_below_a_closed_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivgate.systemd.ownership._HIDDEN", ())
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    with pytest.raises(InputError, match="is closed to it"):
        check_home(Home(closed / "gate"))


def test_a_home_that_services_see_passes() -> None:
    check_home(HOME)


@pytest.mark.parametrize("change", [gate_systemd.install, gate_systemd.uninstall])
def test_only_root_changes_units(change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    with pytest.raises(RefusedError, match="Only root") as caught:
        change()
    assert "sudo" in caught.value.hint
