# SPDX-License-Identifier: Apache-2.0
"""The card's identifier follows its certificate."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.piv import OBJECT_ID, Chuid, PivSession

from pivgate.yubikey.card_objects import guid_for, objects_are_current, write_objects


@pytest.fixture
def certificates(make_bench):
    authority = make_bench("5.7.4").enrolment.authority
    return [authority.issue("alice", ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(2)]


def test_the_guid_is_a_uuid_that_only_depends_on_the_certificate(certificates):
    first, second = certificates
    assert guid_for(first) == guid_for(first) != guid_for(second)
    assert uuid.UUID(bytes=guid_for(first)).version == 5


def test_a_card_is_current_for_one_certificate(bench, certificates):
    first, second = certificates

    def check(piv):
        assert not objects_are_current(piv, first)
        write_objects(piv, first)
        assert objects_are_current(piv, first)
        assert not objects_are_current(piv, second)

    bench.prepare(check)


def test_what_is_written_is_a_chuid_that_ends_with_the_certificate(bench, certificates):
    bench.prepare(lambda piv: write_objects(piv, certificates[0]))
    with bench.session() as connection:
        chuid = Chuid.from_bytes(PivSession(connection).get_object(OBJECT_ID.CHUID))
    assert chuid.guid == guid_for(certificates[0])
    assert chuid.expiration_date == certificates[0].not_valid_after_utc.date()


def test_a_capability_container_is_kept(bench, certificates):
    def check(piv):
        piv.put_object(OBJECT_ID.CAPABILITY, b"somebody's")
        write_objects(piv, certificates[0])
        assert piv.get_object(OBJECT_ID.CAPABILITY) == b"somebody's"

    bench.prepare(check)


def test_a_missing_capability_container_is_missed(bench, certificates):
    def check(piv):
        write_objects(piv, certificates[0])
        piv.put_object(OBJECT_ID.CAPABILITY)
        assert not objects_are_current(piv, certificates[0])

    bench.prepare(check)


@pytest.mark.parametrize("damaged", ["00", "3019", "34021122", "3410" + "00" * 16 + "35024142", "ff"])
def test_a_damaged_identifier_is_renewed(make_bench, certificates, damaged):
    bench = make_bench("5.7.4")

    def check(piv):
        piv.put_object(OBJECT_ID.CHUID, bytes.fromhex(damaged))
        assert not objects_are_current(piv, certificates[0])
        write_objects(piv, certificates[0])
        assert objects_are_current(piv, certificates[0])

    bench.prepare(check)
