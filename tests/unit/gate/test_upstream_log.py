# SPDX-License-Identifier: Apache-2.0
import copy
from typing import Any

import pytest

from pivgate.gate.upstream_log import without_requests

PROXY = "http.handlers.reverse_proxy"
FIELDS = {"request": {"filter": "delete"}}
OURS = "pivgate-upstreams"
FILE = {"output": "file", "filename": "/var/log/caddy.log"}
ACCESS = "http.log.access.log0"


def logs_of(logging: dict[str, Any] | None) -> dict[str, Any]:
    config: dict[str, Any] = {"apps": {}} if logging is None else {"apps": {}, "logging": logging}
    before = copy.deepcopy(config)
    found = without_requests(config)
    assert config == before, "the given one is left alone"
    assert found.pop("apps") == {}
    return found["logging"]["logs"]


@pytest.mark.parametrize("logging", [None, {}, {"logs": {}}, {"logs": {"default": {}}}])
def test_lines_about_upstreams_have_a_log_of_their_own_without_the_request(
    logging: dict[str, Any] | None,
) -> None:
    assert logs_of(logging) == {
        "default": {"exclude": [PROXY]},
        OURS: {"include": [PROXY], "exclude": [], "encoder": {"format": "filter", "fields": FIELDS}},
    }


def test_it_goes_where_the_default_log_goes_and_as_it_is_written() -> None:
    default = {"writer": FILE, "level": "WARN", "encoder": {"format": "console"}, "exclude": [ACCESS]}
    access = {"writer": FILE, "include": [ACCESS]}
    assert logs_of({"logs": {"default": default, "log0": access}, "sink": {}}) == {
        "default": {**default, "exclude": [ACCESS, PROXY]},
        "log0": access,
        OURS: {
            "writer": FILE,
            "level": "WARN",
            "include": [PROXY],
            "exclude": [],
            "encoder": {"format": "filter", "wrap": {"format": "console"}, "fields": FIELDS},
        },
    }


@pytest.mark.parametrize(
    "logs",
    [
        {"default": {"level": "DEBUG"}},
        {"default": {"include": ["http"]}},
        {"default": {"exclude": ["*"]}},
        {"default": {"exclude": [PROXY]}},
        {"mine": {"include": [f"{PROXY}.health_checker"]}},
        {"mine": {"exclude": ["tls", ACCESS]}},
    ],
)
def test_whoever_has_chosen_lines_keeps_their_choice(logs: dict[str, Any]) -> None:
    config = {"logging": {"logs": logs}}
    assert without_requests(config) == config
