# SPDX-License-Identifier: Apache-2.0
"""Settings: what is good is read, what is bad is named with its line and column."""

from pathlib import Path

import pytest

from pivgate.errors import HomeError, StorageError
from pivgate.settings import Home, Settings, default_home, load_settings, parse_settings


def test_every_setting_is_read() -> None:
    text = 'contact = "ops@example.com"\nclient_days = 30\ncrl_days = 7\n'
    assert parse_settings(text, "s") == Settings("ops@example.com", 30, 7)


def test_what_is_not_set_has_its_default() -> None:
    assert parse_settings("", "s") == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client_days = = 3", r"s is damaged: .*line 1, column 15"),
        ("crl_days = 3\ncontact = 'a", r"s is damaged: .*line 2, column 13, the end"),
        ('contact = "a"\nclient_day = 3', r"s, line 2, column 1: there is no setting 'client_day'"),
        ("[client_days]\nx = 1", r"s, line 1, column 2: client_days must be a whole number"),
        ('client_days = "3"', r"s, line 1, column 1: client_days must be a whole number"),
        ("client_days = true", r"client_days must be a whole number, not True"),
        ("contact = 3", r"contact must be a text, not 3"),
        ("\n  client_days = 0", r"s, line 2, column 3: client_days must be from 1 to 3650, not 0"),
        ("client_days = 3651", r"must be from 1 to 3650"),
        ("crl_days = 366", r"must be from 1 to 365"),
        ('contact = "a\\nb"', r"contact must be one line of printable text"),
        ('contact = "a\\u202Eb"', r"contact must be one line of printable text"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        parse_settings(text, "s")


def test_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="no pivgate home") as caught:
        load_settings(Home(tmp_path))
    assert "pivgate init" in caught.value.hint


def test_settings_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    Home(tmp_path).settings.write_bytes(b'contact = "\xff"')
    with pytest.raises(StorageError, match="byte 11 is not UTF-8"):
        load_settings(Home(tmp_path))


def test_a_home_whose_sockets_would_not_fit_is_refused() -> None:
    Home(Path("/" + "a" * 80)).check_socket_paths()
    with pytest.raises(HomeError, match="too long"):
        Home(Path("/" + "a" * 100)).check_socket_paths()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PIVGATE_HOME": "/srv/gate", "XDG_DATA_HOME": "/x"}, "/srv/gate"),
        ({"XDG_DATA_HOME": "/x"}, "/x/pivgate"),
        ({"HOME": "/home/alice"}, "/home/alice/.local/share/pivgate"),
    ],
)
def test_where_a_home_is_looked_for(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIVGATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_home() == Path(expected)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_home() == Path(variables.get("PIVGATE_HOME", "/var/lib/pivgate"))
