# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivgate.browser.module_list import Module, modules, with_module, without_module
from pivgate.errors import InputError

OURS = Module("OpenSC (pivgate)", "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")
INTERNAL = (
    b"library=\nname=NSS Internal PKCS #11 Module\nparameters=configdir='sql:/p' flags= \n"
    b"NSS=Flags=internal,critical trustOrder=75 slotParams=(1={askpw=any timeout=30})\n\n"
)

# Lists as NSS and people write them: any lines that do not end early, entries set apart by empty lines.
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=30)
TEXTS = st.lists(LINE | st.just(""), max_size=20).map(lambda lines: "\n".join(lines).encode())


def test_a_module_is_listed_as_modutil_writes_it() -> None:
    text = with_module(INTERNAL, OURS)
    assert text == INTERNAL + f"library={OURS.library}\nname={OURS.name}\n\n".encode()
    assert modules(text) == [Module("NSS Internal PKCS #11 Module", ""), OURS]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"])
def test_a_module_is_an_entry_of_its_own_however_the_list_ends(ending: bytes) -> None:
    before = b"library=/other.so\nname=Other" + ending
    assert modules(with_module(before, OURS)) == [Module("Other", "/other.so"), OURS]


@given(TEXTS)
def test_taking_ours_out_again_leaves_what_others_say(text: bytes) -> None:
    left = without_module(with_module(text, OURS), OURS)
    assert left.startswith(text)
    assert left[len(text) :].strip() == b""
    assert modules(left) == modules(text)


@given(TEXTS)
def test_a_list_without_ours_stays_byte_for_byte(text: bytes) -> None:
    assert without_module(text, OURS) == text


def test_another_entry_for_the_same_library_stays() -> None:
    other = Module("somebody else's", OURS.library)
    text = with_module(with_module(INTERNAL, other), OURS)
    assert modules(without_module(text, OURS)) == [*modules(INTERNAL), other]


def test_an_entry_added_after_ours_stays() -> None:
    later = Module("Later", "/later.so")
    text = with_module(with_module(INTERNAL, OURS), later)
    assert without_module(text, OURS) == with_module(INTERNAL, later)


@pytest.mark.parametrize(
    "bad", [Module("a\nb", "/x.so"), Module("a", "/x\nname=y"), Module("", "/x.so"), Module("a", "")]
)
def test_a_module_that_would_be_more_than_an_entry_is_refused(bad: Module) -> None:
    with pytest.raises(InputError, match="cannot stand in a list of modules"):
        with_module(INTERNAL, bad)
