# SPDX-License-Identifier: Apache-2.0
"""Is what slot 9a holds our own work, unfinished, or somebody else's?"""

from cryptography import x509
from yubikit.piv import KEY_TYPE, PIN_POLICY, TOUCH_POLICY

from pivgate.errors import DeviceError
from pivgate.yubikey.algorithms import LeafAlgorithm, key_type_name
from pivgate.yubikey.plan import Touch
from pivgate.yubikey.slot import same_key
from pivgate.yubikey.work import Work

_REPLACE = (
    "It was not touched. If it is not needed any more, run the same command with --replace; "
    "what it could log in to or decrypt is then lost."
)


def key_type(algorithm: LeafAlgorithm) -> KEY_TYPE:
    """Return what yubikit calls an algorithm."""
    return KEY_TYPE[key_type_name(algorithm)]


def touch_policy(touch: Touch) -> TOUCH_POLICY:
    """Return what yubikit calls a touch policy."""
    return TOUCH_POLICY.CACHED if touch is Touch.CACHED else TOUCH_POLICY.NEVER


def key_is_ours(work: Work) -> bool:
    """Tell whether the key pair in slot 9a is the one to be certified.

    It is if it was made in this run or carries our certificate. Before there is a certificate, it is if
    provisioning had begun, and the pair is just what this plan would have made: in the key, of this kind.
    """
    key = work.slot.key
    if key is None or key.public_key is None:
        return False
    if work.made_now or same_key(work.resume.certificate, key):
        return True
    return (
        work.resume.started
        and work.resume.certificate is None
        and not same_key(work.slot.certificate, key)
        and key.generated
        and KEY_TYPE.from_public_key(key.public_key) == key_type(work.plan.algorithm)
        and key.pin_policy == PIN_POLICY.ONCE
        and key.touch_policy == touch_policy(work.plan.touch)
    )


def check_slot_is_free(work: Work) -> str:
    """Check that slot 9a holds nothing that is not ours, or that it may be overwritten.

    Returns:
        What was found.

    Raises:
        DeviceError: There is a foreign certificate or key, and nobody said to replace it.
    """
    found = _find_foreign(work)
    if not found:
        return "ours" if work.slot.key else "empty"
    if work.plan.replace:
        return f"{found}, to be replaced"
    raise foreign(found)


def foreign(found: str) -> DeviceError:
    """Say that slot 9a holds something that is not ours."""
    return DeviceError(f"Slot 9a holds {found}", _REPLACE)


def _find_foreign(work: Work) -> str:
    certificate, key = work.slot.certificate, work.slot.key
    if work.slot.unreadable:
        return "something that is not a certificate"
    if certificate is not None and certificate != work.resume.certificate:
        return f"a certificate that is not ours ({_describe(certificate)})"
    if key is not None and not key_is_ours(work):
        return "a key pair of unknown origin"
    return ""


def _describe(certificate: x509.Certificate) -> str:
    return f"for {certificate.subject.rfc4514_string()}, from {certificate.issuer.rfc4514_string()}"
