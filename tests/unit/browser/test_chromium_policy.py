# SPDX-License-Identifier: Apache-2.0
"""Chromium's list is one, whatever files there are: ours goes in and comes out, and nothing else changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pivgate.browser.chromium_policy import OWN_FILE, POLICY, ChromiumPolicy, entry, file_in_force
from pivgate.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden" / "browser"
PLACE = Path("/etc/chromium/policies/managed/x.json")
TARGET = ChromiumPolicy(PLACE)
OURS = [entry("mysite.com", "Example CA"), entry("*.app.internal:8443", 'O"Neil, CA')]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OTHER_ENTRIES = st.lists(st.text(max_size=20) | JSON, max_size=5)
POLICIES = st.dictionaries(st.text(max_size=10), JSON, max_size=4)


def in_force(files: dict[str, bytes]) -> Any:
    """Merge files as Chromium does: of a policy that several name, the file whose name sorts last counts."""
    merged: dict[str, Any] = {}
    for name in sorted(files):
        merged.update(json.loads(files[name]))
    return merged


def test_an_entry_as_chromium_wants_it() -> None:
    assert json.loads(OURS[0]) == {
        "pattern": "https://mysite.com",
        "filter": {"ISSUER": {"CN": "Example CA"}},
    }
    assert json.loads(OURS[1])["pattern"] == "https://[*.]app.internal:8443"
    assert json.loads(OURS[1])["filter"]["ISSUER"]["CN"] == 'O"Neil, CA'


def test_a_new_file_is_the_golden_one() -> None:
    made = TARGET.add({PLACE: None}, {"entries": OURS})[PLACE]
    assert made == (GOLDEN / "chromium-new.json").read_bytes()


def test_an_existing_file_keeps_its_order_and_its_indentation() -> None:
    text = (
        b'{\n\t"HomepageLocation": "https://a.test",\n'
        b'\t"AutoSelectCertificateForUrls": ["theirs"],\n\t"x": 1\n}\n'
    )
    made = TARGET.add({PLACE: text}, {"entries": OURS[:1]})[PLACE]
    assert made == (GOLDEN / "chromium-merged.json").read_bytes()


@given(
    st.dictionaries(st.from_regex(r"[a-z0-9]{1,6}\.json", fullmatch=True), POLICIES, max_size=4), st.data()
)
def test_what_was_in_force_stays_in_force_and_ours_comes_to_it(
    policies: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    for policy in policies.values():
        if data.draw(st.booleans()):
            policy[POLICY] = data.draw(OTHER_ENTRIES)
    files = {name: json.dumps(policy).encode() for name, policy in policies.items()}
    before = in_force(files)
    name = file_in_force(files)
    assume(name != OWN_FILE or POLICY not in before)
    target = ChromiumPolicy(Path(name))
    here: dict[Path, bytes | None] = {Path(name): files.get(name)}
    missing = target.missing(here, {"entries": OURS})
    after_files = target.add(here, missing)
    assert not target.missing(after_files, {"entries": OURS})
    after = in_force({**files, name: after_files[Path(name)] or b""})
    assert after == {**before, POLICY: [*before.get(POLICY, []), *OURS]}
    left = target.remove(after_files, missing)[Path(name)]
    rest = {each: text for each, text in {**files, name: left}.items() if text is not None}
    restored = in_force(rest)
    assert restored == before


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, OWN_FILE),
        ({"a.json": b"{}", "z.json": b"{}"}, OWN_FILE),
        ({"a.json": b'{"AutoSelectCertificateForUrls": []}', "z.json": b"{}"}, "a.json"),
        (
            {
                "a.json": b'{"AutoSelectCertificateForUrls": []}',
                "b.json": b'{"AutoSelectCertificateForUrls": []}',
            },
            "b.json",
        ),
        ({"a.json": b'{"Note": "AutoSelectCertificateForUrls"}'}, OWN_FILE),
        ({"odd.json": b"// no JSON, and not about this"}, OWN_FILE),
    ],
)
def test_the_file_in_force(files: dict[str, bytes], name: str) -> None:
    assert file_in_force(files) == name


def test_a_file_that_chromium_reads_but_we_cannot_is_named_not_passed_over() -> None:
    files = {"z.json": b'{"AutoSelectCertificateForUrls": ["theirs"],} // a spare comma'}
    with pytest.raises(InputError, match=r"z\.json is not plain JSON"):
        file_in_force(files)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[]", "is not a JSON object"),
        (b"{", "is not plain JSON"),
        (b'{"AutoSelectCertificateForUrls": "x"}', "is not a list"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TARGET.missing({PLACE: text}, {"entries": OURS})


def test_entries_of_two_runs_are_ours_together() -> None:
    assert TARGET.merge({"entries": ["a", "b"]}, {"entries": ["b", "c"]}) == {"entries": ["a", "b", "c"]}


def test_a_file_without_ours_is_not_written_anew_by_undo() -> None:
    text = b'{"x":1}'
    assert TARGET.remove({PLACE: text}, {"entries": OURS}) == {PLACE: text}
    assert TARGET.remove({PLACE: None}, {"entries": OURS}) == {PLACE: None}
