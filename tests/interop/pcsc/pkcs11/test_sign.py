# SPDX-License-Identifier: Apache-2.0
"""Signatures by every mechanism of both PKCS#11 modules, on every firmware, in every slot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_table import CardTable, card_table
from tests.interop.pcsc.judge import ECDSA, RSA, judge, signed_by_pkcs11_tool
from tests.interop.pcsc.stories import (
    FIRMWARES,
    FULL,
    OPENSC,
    RETIRED,
    SHORT,
    YKCS11,
    Holder,
    holder,
)
from yubikit.piv import KEY_TYPE, SLOT

pytestmark = pytest.mark.interop

Place = tuple[CardTable, Holder]

# What Debian 12's ykcs11 (2.2.0) does not offer; it says so before the key hears of it.
_NOT_IN_YKCS11 = frozenset(
    {
        *("MD5-RSA-PKCS", "RIPEMD160-RSA-PKCS", "SHA224-RSA-PKCS", "SHA224-RSA-PKCS-PSS"),
        "ECDSA-SHA512",
    }
)


@pytest.fixture(
    scope="module", params=[f"{firmware}-{name}" for firmware in FIRMWARES for name in ("short", "full")]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    firmware, name = request.param.split("-")
    alice = holder(firmware, SHORT if name == "short" else FULL)
    with card_table(alice.yubikey) as table:
        yield table, alice


def expected(module: str, mechanism: str, key_type: KEY_TYPE) -> bool:
    """Say whether a module can do it with such a key."""
    # A block of 1024 bits has no room for two values of 512 and what stands between (RFC 8017, 9.1.1).
    if mechanism == "SHA512-RSA-PKCS-PSS" and key_type is KEY_TYPE.RSA1024:
        return False
    if module == OPENSC:
        return True
    # OpenSC cuts a long digest to the curve's length, as ECDSA has it; ykcs11 leaves that out.
    too_long = mechanism == "ECDSA-SHA384" and key_type is KEY_TYPE.ECCP256
    return mechanism not in _NOT_IN_YKCS11 and not too_long


@pytest.mark.parametrize(
    "slot", [SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.CARD_AUTH], ids=lambda slot: f"{slot:x}"
)
@pytest.mark.parametrize("module", [OPENSC, YKCS11], ids=["opensc", "ykcs11"])
def test_every_mechanism(place: Place, module: str, slot: SLOT, tmp_path: Path) -> None:
    table, alice = place
    public_key = alice.public_key(slot)
    key_type = KEY_TYPE.from_public_key(public_key)
    for mechanism in RSA if key_type.name.startswith("RSA") else ECDSA:
        done, signature = signed_by_pkcs11_tool(table, tmp_path, module, slot, mechanism, public_key)
        if expected(module, mechanism, key_type):
            assert done.returncode == 0, (mechanism, done)
            judge(mechanism, public_key, signature, tmp_path)
        else:
            assert done.returncode == 1, (mechanism, done)


@pytest.mark.parametrize("place", [f"{firmware}-full" for firmware in FIRMWARES], indirect=True)
def test_every_retired_slot_signs_for_ykcs11(place: Place, tmp_path: Path) -> None:
    table, alice = place
    for slot in RETIRED:
        public_key = alice.public_key(slot)
        is_rsa = KEY_TYPE.from_public_key(public_key).name.startswith("RSA")
        mechanism = "SHA256-RSA-PKCS" if is_rsa else "ECDSA-SHA256"
        done, signature = signed_by_pkcs11_tool(table, tmp_path, YKCS11, slot, mechanism, public_key)
        assert done.returncode == 0, (f"{slot:x}", done)
        judge(mechanism, public_key, signature, tmp_path)


@pytest.mark.parametrize("place", [f"{firmware}-full" for firmware in FIRMWARES], indirect=True)
def test_opensc_keeps_retired_keys_from_signing(place: Place, tmp_path: Path) -> None:
    table, alice = place
    asked = table.signatures()
    done, _ = signed_by_pkcs11_tool(
        table, tmp_path, OPENSC, SLOT.RETIRED1, "ECDSA-SHA384", alice.public_key(SLOT.RETIRED1)
    )
    assert done.returncode == 1
    assert "CKR_KEY_TYPE_INCONSISTENT" in done.stderr
    assert table.signatures() == asked
