# SPDX-License-Identifier: Apache-2.0
"""What comes back from the authority and from the key is not believed without proof."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.core.smartcard import ApduError
from yubikit.piv import (
    OBJECT_ID,
    SLOT,
    PivSession,
)

from pivgate.errors import DeviceError, RefusedError
from pivgate.yubikey.plan import Touch
from pivgate.yubikey.provision import STEPS

OLD = ["4.3.7", "5.2.7"]
NEW = ["5.4.3", "5.7.4"]
SLOT_9A = SLOT.AUTHENTICATION


def test_a_certificate_for_another_key_does_not_get_onto_the_key(bench, monkeypatch):
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    monkeypatch.setattr(
        bench.enrolment, "certify", lambda _request: bench.enrolment.authority.issue("alice", other)
    )
    with pytest.raises(RefusedError, match="another key"):
        bench.provision()
    assert OBJECT_ID.AUTHENTICATION not in bench.key.piv.state.objects


def test_a_certificate_by_another_authority_does_not_get_onto_the_key(bench):
    bench.enrolment.authority_certificate = type(bench.enrolment.authority)().certificate
    with pytest.raises(RefusedError, match="not signed by this authority"):
        bench.provision()
    assert OBJECT_ID.AUTHENTICATION not in bench.key.piv.state.objects
    assert bench.enrolment.active is None


def test_a_key_that_gives_back_another_certificate_is_not_activated(bench):
    swap_at(bench, "proof", lambda state: state.objects.pop(OBJECT_ID.AUTHENTICATION))
    with pytest.raises(DeviceError, match="does not give back"):
        bench.provision()
    assert bench.enrolment.active is None


def test_a_key_that_signs_with_another_pair_is_not_activated(bench):
    def swap(state):
        pair = state.keys[SLOT_9A]
        other = ec.generate_private_key(ec.SECP256R1())
        state.keys[SLOT_9A] = dataclasses.replace(pair, private_key=other)

    swap_at(bench, "proof", swap)
    with pytest.raises(RefusedError, match="another key"):
        bench.provision()
    assert bench.enrolment.active is None


def test_a_key_whose_signature_is_wrong_is_not_activated(bench, monkeypatch):
    def break_chip(_state):
        monkeypatch.setattr(PivSession, "sign", lambda *_arguments: b"\x30\x06\x02\x01\x01\x02\x01\x01")

    swap_at(bench, "proof", break_chip)
    with pytest.raises(RefusedError, match="does not belong"):
        bench.provision()
    assert bench.enrolment.active is None


def swap_at(bench, step, swap):
    """Change the key behind our back when a step starts."""
    assert step in {item.name for item in STEPS}

    class Saboteur(list):
        def append(self, event):
            super().append(event)
            if event.name == step and event.state == "started":
                swap(bench.key.piv.state)

    bench.events = Saboteur()


def test_a_step_that_the_key_does_not_show_is_not_believed(bench, monkeypatch):
    monkeypatch.setattr(PivSession, "put_certificate", lambda *_arguments: None)
    with pytest.raises(DeviceError, match="does not show it"):
        bench.provision()
    assert bench.enrolment.active is None


def test_no_touch_in_time(make_bench):
    bench = make_bench("5.7.4", touch=lambda: False)
    with pytest.raises(DeviceError, match="not touched in time"):
        bench.provision(touch=Touch.CACHED)
    assert bench.tries() == (3, 3)


def test_the_key_is_closed_again_whatever_happened(bench):
    bench.enrolment.authority_certificate = type(bench.enrolment.authority)().certificate
    with pytest.raises(RefusedError):
        bench.provision()
    bench.device.open().close()


def test_the_bench_can_tell_a_wrong_management_key(bench):
    with bench.session() as connection, pytest.raises(ApduError):
        PivSession(connection).authenticate(b"k" * 24)
