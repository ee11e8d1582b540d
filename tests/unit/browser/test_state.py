# SPDX-License-Identifier: Apache-2.0
"""What a browser has, from its database and from the policies over it."""

import json
import ssl
from pathlib import Path

import pytest
from tests.unit.browser.trees import machine, put

from pivgate.browser.database import Authority
from pivgate.browser.found import Family, Packaging, Store
from pivgate.browser.module_list import Module, with_module
from pivgate.browser.places import Places
from pivgate.browser.state import held

OPENSC = Module("OpenSC (pivgate)", "/usr/lib/opensc-pkcs11.so")
CA = Authority("Gate CA", b"0\x03\x02\x01\x05")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return machine(tmp_path)


def store(places: Places, family: Family) -> Store:
    (places.home / "p").mkdir(exist_ok=True)
    return Store(family, Packaging.SYSTEM, places.home / "p", "p", exists=True)


def policy(places: Places, pem: str) -> None:
    put(places.root / "etc/firefox/policies/ca.pem", pem)
    document = {
        "policies": {
            "SecurityDevices": {"Add": {"any": OPENSC.library}},
            "Certificates": {"Install": ["/etc/firefox/policies/ca.pem", "relative.pem"]},
        }
    }
    put(places.root / "etc/firefox/policies/policies.json", json.dumps(document))


@pytest.mark.parametrize("family", Family)
def test_an_empty_database_lacks_both(places: Places, family: Family) -> None:
    found = held(places, store(places, family), OPENSC, (CA,))
    assert (found.module, found.authorities) == (False, (CA.nickname,))


@pytest.mark.parametrize("family", Family)
def test_a_module_in_the_list_is_had(places: Places, family: Family) -> None:
    where = store(places, family)
    put(where.folder / "pkcs11.txt", with_module(b"", Module("by another name", OPENSC.library)))
    assert held(places, where, OPENSC, ()).module


def test_firefox_has_what_its_policy_gives_and_chromium_has_not(places: Places) -> None:
    policy(places, ssl.DER_cert_to_PEM_cert(CA.der))
    found = held(places, store(places, Family.FIREFOX), OPENSC, (CA,))
    assert (found.module, found.authorities) == (True, ())
    found = held(places, store(places, Family.CHROMIUM), OPENSC, (CA,))
    assert (found.module, found.authorities) == (False, (CA.nickname,))


@pytest.mark.parametrize("pem", ["", "nonsense", ssl.DER_cert_to_PEM_cert(b"another")])
def test_a_policy_with_another_certificate_does_not_give_ours(places: Places, pem: str) -> None:
    policy(places, pem)
    found = held(places, store(places, Family.FIREFOX), OPENSC, (CA,))
    assert found.authorities == (CA.nickname,)
