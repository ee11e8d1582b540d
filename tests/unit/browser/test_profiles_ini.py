# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from pivgate.browser.profiles_ini import named_profiles
from pivgate.errors import StorageError

FOLDER = Path("/home/alice/.mozilla/firefox")
# As Firefox writes it.
PROFILES = """[Install4F96D1932A9F858E]
Default=abc.default-esr
Locked=1

[Profile1]
Name=default
IsRelative=1
Path=xyz.default
Default=1

[Profile0]
Name=default-esr
IsRelative=1
Path=abc.default-esr

[Profile2]
Name=work
IsRelative=0
Path=/srv/profiles/work

[General]
StartWithLastProfile=1
Version=2
"""
INSTALLS = "[4F96D1932A9F858E]\nDefault=abc.default-esr\nLocked=1\n\n[Other]\nDefault=only-here\n"


def test_profiles_relative_absolute_and_of_installs() -> None:
    assert named_profiles(FOLDER, PROFILES, INSTALLS) == {
        FOLDER / "abc.default-esr": "abc.default-esr",
        FOLDER / "xyz.default": "default",
        Path("/srv/profiles/work"): "work",
        FOLDER / "only-here": "only-here",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[Profile0]\nName=50% off\nPath=p\n",  # what configparser would take for an interpolation
        "\ufeff[Profile0]\r\nName=50% off\r\nPath=p\r\n",
        "[Profile0]\nName=50% off\nPath=p\nPath=p\n",
        "[Profile0]\nName=50% off\nPath=p\n[Profile0]\nPath=p\n",
        "# mine\n[Profile0]\nName=50% off\nPath=p\n[Profile1]\nName=without a path\n",
    ],
)
def test_a_list_in_any_form_that_firefox_takes(text: str) -> None:
    assert named_profiles(FOLDER, text) == {FOLDER / "p": "50% off"}


def test_no_list_names_no_profile() -> None:
    assert named_profiles(FOLDER, "") == {}


@pytest.mark.parametrize("text", ["Path=p\n", "[Profile0\nPath=p", "[Profile0]\nnonsense\n"])
def test_a_damaged_list_is_named(text: str) -> None:
    with pytest.raises(StorageError, match=r"profiles\.ini is damaged"):
        named_profiles(FOLDER, text)
    with pytest.raises(StorageError, match=r"installs\.ini is damaged"):
        named_profiles(FOLDER, "", text)
