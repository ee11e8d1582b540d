# SPDX-License-Identifier: Apache-2.0
"""The later steps: key pair, certificate, the card's own name, proof, access."""

from cryptography import x509
from yubikit.core import NotSupportedError
from yubikit.piv import PIN_POLICY

from pivgate.errors import DeviceError, RefusedError
from pivgate.yubikey.card_objects import objects_are_current, write_objects
from pivgate.yubikey.chain import check_issued
from pivgate.yubikey.csr import make_request
from pivgate.yubikey.ours import foreign, key_is_ours, key_type, touch_policy
from pivgate.yubikey.sign import sign_challenge
from pivgate.yubikey.slot import SLOT_9A, holds_hidden_key, same_key, signing_key
from pivgate.yubikey.work import Work


def has_key_pair(work: Work) -> str | None:
    """Tell whether slot 9a holds the key pair to be certified."""
    return f"{work.plan.algorithm}, made inside the key" if key_is_ours(work) else None


def make_key_pair(work: Work) -> None:
    """Make a key pair in slot 9a; the private key never leaves it."""
    if not work.plan.replace and work.slot.key is None:
        _refuse_hidden_key(work)
    work.authenticate()
    made = work.piv.generate_key(
        SLOT_9A, key_type(work.plan.algorithm), PIN_POLICY.ONCE, touch_policy(work.plan.touch)
    )
    work.slot_changed(signing_key(made))


def _refuse_hidden_key(work: Work) -> None:
    try:
        work.piv.get_management_key_metadata()
    except NotSupportedError:
        work.verify_pin()
        if holds_hidden_key(work.piv):
            raise foreign("a key pair that was not made in it") from None


def has_certificate(work: Work) -> str | None:
    """Tell whether there is a certificate for this key pair, in force by date."""
    certificate = work.certificate
    if certificate is None or not same_key(certificate, work.slot.key):
        return None
    try:
        check_issued(certificate, work.enrolment.authority_certificate, work.plan.now())
    except RefusedError:
        return None
    return _until(certificate)


def get_certificate(work: Work) -> None:
    """Let the key sign a request, and have it certified."""
    work.verify_pin()
    request = make_request(work.piv, work.public_key, work.plan.user)
    work.certificate = work.enrolment.certify(request)
    work.active = False
    if not same_key(work.certificate, work.slot.key):
        raise RefusedError("The authority certified another key", "Do not use this certificate.")
    check_issued(work.certificate, work.enrolment.authority_certificate, work.plan.now())


def is_imported(work: Work) -> str | None:
    """Tell whether the certificate is in slot 9a."""
    return "in slot 9a" if work.slot.certificate == certificate_of(work) else None


def import_certificate(work: Work) -> None:
    """Write the certificate into slot 9a."""
    work.authenticate()
    work.piv.put_certificate(SLOT_9A, certificate_of(work))
    work.slot_changed()


def is_named(work: Work) -> str | None:
    """Tell whether the card's identifier was renewed for this certificate."""
    return "CHUID and CCC" if objects_are_current(work.piv, certificate_of(work)) else None


def name_card(work: Work) -> None:
    """Renew the card's identifier, so that Windows reads the card anew."""
    work.authenticate()
    write_objects(work.piv, certificate_of(work))


def is_proved(work: Work) -> str | None:
    """Tell whether the login was proved: now, or before the certificate was activated."""
    return "a challenge was signed and verified" if work.proved or work.active else None


def prove(work: Work) -> None:
    """Read certificate and key back, and let the key sign a challenge.

    The certificate must be the very one whose chain was checked when it was got.
    """
    work.slot_changed()
    certificate = work.slot.certificate
    if certificate is None or certificate != certificate_of(work):
        raise DeviceError("Slot 9a does not give back the certificate", "Run the same command again.")
    sign_challenge(work.signer(), work.public_key, work.plan.randomness)
    if not same_key(certificate, work.slot.key):
        raise RefusedError("The certificate in slot 9a is for another key", "Run it again with --replace.")
    work.proved = True


def is_active(work: Work) -> str | None:
    """Tell whether the certificate is in force."""
    return _until(certificate_of(work)) if work.active else None


def activate(work: Work) -> None:
    """Put the certificate in force."""
    work.enrolment.activate(certificate_of(work))
    work.active = True


def certificate_of(work: Work) -> x509.Certificate:
    """Return the certificate, which the earlier steps have got."""
    if work.certificate is None:
        raise DeviceError("There is no certificate for this key yet", "Run the same command again.")
    return work.certificate


def _until(certificate: x509.Certificate) -> str:
    return f"until {certificate.not_valid_after_utc:%Y-%m-%d}"
