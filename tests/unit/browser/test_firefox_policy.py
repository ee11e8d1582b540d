# SPDX-License-Identifier: Apache-2.0
"""Firefox's policy file: module and authorities go into it, in both forms that Firefox takes, and out."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.browser.firefox_policy import FirefoxPolicy
from pivgate.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden" / "browser"
PLACE = Path("/etc/firefox/policies/policies.json")
TARGET = FirefoxPolicy(PLACE)
WANTED = {
    "modules": {"OpenSC (pivgate)": "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"},
    "authorities": ["/etc/firefox/policies/pivgate-0123456789ab.pem"],
}

NAMES = st.sampled_from(["a", "b", "Delete me", "OpenSC"])
PATHS = st.sampled_from(["/a.so", "/b.so", "/usr/lib/opensc-pkcs11.so"])
NEW_FORM = st.fixed_dictionaries(
    {}, optional={"Add": st.dictionaries(NAMES, PATHS), "Delete": st.lists(NAMES, min_size=1)}
)
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "SecurityDevices": NEW_FORM | st.dictionaries(NAMES, PATHS),
        "Certificates": st.fixed_dictionaries(
            {}, optional={"ImportEnterpriseRoots": st.booleans(), "Install": st.lists(PATHS, unique=True)}
        ),
        "Homepage": st.fixed_dictionaries({"URL": st.just("https://a.test")}),
        "DisableTelemetry": st.booleans(),
    },
)
DOCUMENTS = st.fixed_dictionaries({}, optional={"policies": POLICY, "note": st.text(max_size=5)})


def bare(value: Any) -> Any:
    """Return a document without what is empty: Firefox makes no difference."""
    if isinstance(value, dict):
        found = {key: bare(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each not in ({}, [])}
    return value


def modules_in_force(document: dict[str, Any]) -> dict[str, str]:
    """Return the modules that Firefox would load, by its rule for the two forms."""
    devices = document.get("policies", {}).get("SecurityDevices", {})
    found: dict[str, str] = devices.get("Add", {}) if {"Add", "Delete"} & set(devices) else devices
    return found


def test_a_new_file_is_the_golden_one() -> None:
    assert TARGET.add({PLACE: None}, WANTED)[PLACE] == (GOLDEN / "firefox-new.json").read_bytes()


@given(DOCUMENTS)
def test_everything_else_stays_and_ours_comes_and_goes(document: dict[str, Any]) -> None:
    text = json.dumps(document).encode()
    missing = TARGET.missing({PLACE: text}, WANTED)
    after_files = TARGET.add({PLACE: text}, missing)
    assert not TARGET.missing(after_files, WANTED)
    after = json.loads(after_files[PLACE] or b"")
    assert modules_in_force(after) == {**modules_in_force(document), **WANTED["modules"]}  # type: ignore[dict-item]
    certificates = document.get("policies", {}).get("Certificates", {})
    assert after["policies"]["Certificates"] == {
        **certificates,
        "Install": [*certificates.get("Install", []), *WANTED["authorities"]],
    }
    left = TARGET.remove(after_files, missing)[PLACE]
    assert bare(json.loads(left or b"{}")) == bare(document)


def test_the_policy_of_the_installation_which_a_new_file_hides_goes_into_it(tmp_path: Path) -> None:
    hidden = tmp_path / "policies.json"
    hidden.write_text('{"policies": {"DisableTelemetry": true}}')
    target = FirefoxPolicy(PLACE, hidden)
    made = json.loads(target.add({PLACE: None}, WANTED)[PLACE] or b"")
    assert made["policies"]["DisableTelemetry"] is True
    assert modules_in_force(made) == WANTED["modules"]


def test_a_module_that_is_there_under_another_name_is_not_added_again() -> None:
    [library] = dict(WANTED["modules"]).values()
    text = json.dumps({"policies": {"SecurityDevices": {"Add": {"theirs": library}}}}).encode()
    assert "modules" not in TARGET.missing({PLACE: text}, WANTED)


def test_a_module_that_somebody_pointed_elsewhere_since_stays() -> None:
    text = json.dumps({"policies": {"SecurityDevices": {"Add": {"OpenSC (pivgate)": "/else.so"}}}}).encode()
    left = json.loads(TARGET.remove({PLACE: text}, WANTED)[PLACE] or b"")
    assert modules_in_force(left) == {"OpenSC (pivgate)": "/else.so"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"policies": []}', '"policies" is not an object'),
        (b'{"policies": {"SecurityDevices": []}}', "does not heed it"),
        (b'{"policies": {"SecurityDevices": {"Add": []}}}', "does not heed it"),
        (b'{"policies": {"Certificates": 1}}', "does not heed it"),
        (b'{"policies": {"Certificates": {"Install": {}}}}', "Install is not a list"),
        (b"// no", "is not plain JSON"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TARGET.missing({PLACE: text}, WANTED)


def test_what_is_listed_in_both_forms() -> None:
    assert TARGET.listed(b'{"policies": {"SecurityDevices": {"a": "/a.so"}}}') == (["/a.so"], [])
    text = b'{"policies": {"SecurityDevices": {"Add": {"a": "/a.so"}}, "Certificates": {"Install": ["/c"]}}}'
    assert TARGET.listed(text) == (["/a.so"], ["/c"])
