# SPDX-License-Identifier: Apache-2.0
"""From whatever state a YubiKey is in to a proven login, in steps that can be repeated.

Every step first looks whether it was done before, acts, and looks again. What is known is read from the key
and from the enrolment, never from a note of our own: interrupted anywhere, the same command finishes the job.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pivgate.errors import DeviceError
from pivgate.yubikey import steps_access as access
from pivgate.yubikey import steps_identity as identity
from pivgate.yubikey.algorithms import advice
from pivgate.yubikey.find import Device
from pivgate.yubikey.ours import check_slot_is_free
from pivgate.yubikey.plan import Enrolment, Plan, Provisioned, StepEvent, StepState, Touch
from pivgate.yubikey.session import spoken_errors
from pivgate.yubikey.work import Work


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: For programs.
        title: For people.
        done: Says how it is if the step was done, None if not; may refuse.
        act: Does it; None for a step that only checks.
        signs: Whether the private key is used, so that a touch may be demanded.
    """

    name: str
    title: str
    done: Callable[[Work], str | None]
    act: Callable[[Work], None] | None = None
    signs: bool = False


STEPS = (
    Step("firmware", "Firmware is fit", access.firmware_is_fit),
    Step("piv", "PIV application is on", access.piv_is_on, access.switch_piv_on),
    Step("slot", "Slot 9a may be used", check_slot_is_free),
    Step("register", "Key is registered", access.is_registered, access.register),
    # Before the PIN: on old firmware a factory PIN is the only sign that the PUK is not somebody's yet.
    Step("puk", "PUK is set", access.puk_is_set, access.set_puk),
    Step("pin", "PIN is set", access.pin_is_set, access.set_pin),
    Step(
        "management-key",
        "Management key is random and on the key",
        access.management_key_is_protected,
        access.protect_management_key,
    ),
    Step("key-pair", "Key pair is in slot 9a", identity.has_key_pair, identity.make_key_pair),
    Step(
        "certificate", "Certificate is issued", identity.has_certificate, identity.get_certificate, signs=True
    ),
    Step("import", "Certificate is on the key", identity.is_imported, identity.import_certificate),
    Step("card", "Card identifier is renewed", identity.is_named, identity.name_card),
    Step("proof", "Login is proved", identity.is_proved, identity.prove, signs=True),
    Step("activate", "Access is given", identity.is_active, identity.activate),
)


def provision(
    device: Device, plan: Plan, enrolment: Enrolment, on_step: Callable[[StepEvent], None]
) -> Provisioned:
    """Provision a key, or finish what an interrupted run began.

    Args:
        device: The key.
        plan: What is wanted.
        enrolment: Registry and authority.
        on_step: Told of every step as it happens.

    Returns:
        The key and its certificate.

    Raises:
        DeviceError: The key cannot be used, was pulled out, or holds something foreign.
        SecretError: A PIN, PUK or management key is wrong, missing or blocked.
        InputError: A new PIN or PUK breaks a rule.
        RefusedError: What came back from the key or the authority did not pass verification.
    """
    with spoken_errors(), device.open() as connection:
        work = Work(connection, plan, enrolment)
        changed = [_run(step, work, on_step) for step in STEPS]
        notes = (*advice(plan.algorithm, work.facts.firmware), *work.notes)
        return Provisioned(work.facts, identity.certificate_of(work), notes, any(changed))


def _run(step: Step, work: Work, on_step: Callable[[StepEvent], None]) -> bool:
    """Run one step and tell whether it changed anything."""
    before = step.done(work)
    if before is not None:
        state = StepState.SKIPPED if step.act else StepState.DONE
        on_step(StepEvent(step.name, step.title, state, before))
        return False
    touch = step.signs and work.plan.touch is not Touch.NEVER
    on_step(
        StepEvent(step.name, step.title, StepState.STARTED, "touch the key when it blinks" if touch else "")
    )
    if step.act is not None:
        step.act(work)
    after = step.done(work)
    if after is None:
        raise DeviceError(
            f"The step “{step.title}” was done, but the key does not show it",
            "Run the same command again. If it stays so, another program changes the key, or it is damaged.",
        )
    on_step(StepEvent(step.name, step.title, StepState.DONE, after))
    return True
