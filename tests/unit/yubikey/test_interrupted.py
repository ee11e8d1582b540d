# SPDX-License-Identifier: Apache-2.0
"""Killed anywhere, or pulled out anywhere: the same command finishes the job, and no try is used up."""

from contextlib import suppress

import pytest
from ykman import piv as ykman_piv
from yubikit.piv import PivSession

from pivgate.emulator.connection import Moment
from pivgate.emulator.piv.references import Secret
from pivgate.errors import DeviceError
from pivgate.yubikey.plan import StepState
from pivgate.yubikey.provision import STEPS

FIRMWARES = ["4.3.7", "5.2.7", "5.4.3", "5.7.4"]


class KilledError(BaseException):
    """The process ends here."""


class Watch:
    """Interrupts a run at one command, and notes the fewest tries that were ever left."""

    def __init__(self, bench, at, moment, interrupt):
        self._bench = bench
        self._at = at
        self._moment = moment
        self._interrupt = interrupt
        self._count = 0
        self.fewest_pin, self.fewest_puk = 3, 3
        self.fired = False
        bench.device.hook = self

    def __call__(self, moment, _apdu):
        pin, puk = self._bench.tries()
        self.fewest_pin, self.fewest_puk = min(self.fewest_pin, pin), min(self.fewest_puk, puk)
        if moment is not self._moment:
            return
        self._count += 1
        if self._count - 1 == self._at:
            self.fired = True
            self._interrupt(self._bench)

    def check(self):
        """One factory PIN may be tried where only trying tells; a PUK never."""
        assert self.fewest_pin >= 2
        assert self.fewest_puk == 3


def kill(_bench):
    raise KilledError


def pull_out(bench):
    bench.key.remove()


def is_complete(bench):
    result = bench.provision()
    assert result.certificate == bench.enrolment.active
    assert (bench.secret(Secret.PIN), bench.secret(Secret.PUK)) == (bench.new_pin, bench.new_puk)
    assert bench.tries() == (3, 3)
    with bench.session() as connection:
        piv = PivSession(connection)
        assert ykman_piv.get_pivman_data(piv).has_stored_key
        piv.verify_pin(bench.new_pin)
        piv.authenticate(ykman_piv.get_pivman_protected_data(piv).key)
        assert ykman_piv.check_key(piv, 0x9A, result.certificate.public_key())
        assert piv.get_certificate(0x9A) == result.certificate


def interrupt_everywhere(make_bench, firmware, moment, interrupt, times):
    total = make_bench(firmware)
    commands = total.count_commands(total.provision)
    assert commands > 40
    for at in range(commands):
        bench = make_bench(firmware)
        for attempt in range(times):
            watch = Watch(bench, at, moment, interrupt)
            error = run(bench)
            assert attempt or watch.fired
            assert not watch.fired or error is KilledError or error.hint, "the user must be told what to do"
            watch.check()
            bench.device.abandon()
            bench.key.insert()
        watch = Watch(bench, -1, moment, interrupt)
        is_complete(bench)
        watch.check()


def run(bench):
    try:
        bench.provision()
    except KilledError:
        return KilledError
    except DeviceError as error:
        return error
    return None


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("moment", Moment)
def test_killed_at_every_command(make_bench, firmware, moment):
    interrupt_everywhere(make_bench, firmware, moment, kill, times=1)


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("moment", Moment)
def test_killed_five_times_in_a_row_at_every_command(make_bench, firmware, moment):
    interrupt_everywhere(make_bench, firmware, moment, kill, times=5)


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("moment", Moment)
def test_pulled_out_at_every_command_and_put_back(make_bench, firmware, moment):
    interrupt_everywhere(make_bench, firmware, moment, pull_out, times=1)


@pytest.mark.parametrize("state", [StepState.STARTED, StepState.DONE])
@pytest.mark.parametrize("step", [step.name for step in STEPS])
def test_killed_at_every_step(bench, step, state):
    def stop(event):
        if (event.name, event.state) == (step, state):
            raise KilledError

    bench.events = type("Stop", (list,), {"append": lambda _self, event: stop(event)})()
    with suppress(KilledError):
        bench.provision()
    bench.events = []
    is_complete(bench)


def killed_in(bench, monkeypatch, call, *, after):
    """Provision until the enrolment is asked for something, and die before or after it has done that."""
    real = getattr(bench.enrolment, call)

    def killed(argument):
        if after:
            real(argument)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(bench.enrolment, call, killed)
        with pytest.raises(KilledError):
            bench.provision()


@pytest.mark.parametrize("call", ["look_up", "begin", "certify", "activate"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_the_registry_works(bench, monkeypatch, call, after):
    killed_in(bench, monkeypatch, call, after=after)
    is_complete(bench)


@pytest.mark.parametrize("call", ["begin", "certify", "activate"])
def test_nothing_is_certified_twice(bench, monkeypatch, call):
    killed_in(bench, monkeypatch, call, after=True)
    is_complete(bench)
    assert len(bench.enrolment.issued) == 1


@pytest.mark.parametrize("firmware", ["4.3.7", "5.7.4"])
@pytest.mark.parametrize("moment", Moment)
def test_killed_at_every_command_while_a_foreign_key_is_replaced(make_bench, firmware, moment):
    def occupied():
        bench = make_bench(firmware)
        with bench.session() as connection:
            piv = PivSession(connection)
            piv.authenticate(bytes.fromhex("0102030405060708" * 3))
            public_key = piv.generate_key(0x9A, 0x11)
            piv.put_certificate(0x9A, bench.enrolment.authority.issue("bob", public_key))
        return bench

    first = occupied()
    commands = first.count_commands(lambda: first.provision(replace=True))
    for at in range(commands):
        bench = occupied()
        foreign = bench.key.piv.state.keys[0x9A].private_key.public_key()
        Watch(bench, at, moment, kill)
        with pytest.raises(KilledError):
            bench.provision(replace=True)
        bench.device.hook = None
        result = bench.provision(replace=True)
        assert result.certificate == bench.enrolment.active
        assert result.certificate.public_key() != foreign
        assert bench.tries() == (3, 3)
