# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from pivgate.browser.places import places

HOME = Path("/home/alice")


def test_places_without_variables() -> None:
    found = places({}, HOME)
    assert (found.config, found.data) == (HOME / ".config", HOME / ".local/share")
    assert found.state == HOME / ".local/state/pivgate/browser"
    assert found.system_state == Path("/var/lib/pivgate-browser")


def test_places_heed_the_variables_of_the_base_directory_specification() -> None:
    found = places(
        {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "/s", "PATH": "/b"}, HOME
    )
    assert (found.config, found.data, found.path) == (Path("/c"), Path("/d"), "/b")
    assert found.state == Path("/s/pivgate/browser")


def test_places_ignore_a_relative_path_as_the_specification_says() -> None:
    assert places({"XDG_CONFIG_HOME": "c"}, HOME).config == HOME / ".config"
