# SPDX-License-Identifier: Apache-2.0
"""``pivgate key show`` and ``verify``: one key, its certificates, and whether all of it holds."""

from typing import TYPE_CHECKING

import click

from pivgate.cli.output import json_option, print_fields, print_json, print_rows
from pivgate.cli.workplace import now, reading
from pivgate.errors import DeviceError, RefusedError

if TYPE_CHECKING:
    from cryptography import x509

    from pivgate.registry.records import Certificate


@click.command(name="show")
@click.argument("serial", type=int)
@json_option
def show_key(serial: int, as_json: bool) -> None:
    """Show one registered key and its certificates."""
    with reading() as (_, registry):
        key = registry.key(serial)
        rows = [
            {
                "fingerprint": certificate.fingerprint,
                "user": certificate.user,
                "state": certificate.state_at(now()),
                "not_before": certificate.not_before,
                "not_after": certificate.not_after,
                "reason": certificate.reason,
            }
            for certificate in registry.certificates(key=serial)
        ]
    fields = {
        "serial": key.serial,
        "user": key.user,
        "state": key.state,
        "reason": key.reason or None,
        "model": key.model,
        "firmware": key.firmware,
        "form_factor": key.form_factor,
        "registered_at": key.registered_at,
    }
    if as_json:
        print_json({**fields, "certificates": rows})
        return
    print_fields(fields)
    click.echo()
    columns = {"fingerprint": "certificate", "user": "user", "state": "state", "not_after": "until"}
    print_rows(columns, rows, as_json=False, empty="No certificate was issued for it.")


@click.command(name="verify")
@click.argument("serial", type=int)
@json_option
def verify_key(serial: int, as_json: bool) -> None:
    """Check chain, dates, state and, when the key is plugged in, that certificate and key match.

    Exit status 1, and the reason named, when a check fails.
    """
    from pivgate.authority.verify import verify_client
    from pivgate.enrolment.authority import load_certificate
    from pivgate.registry.states import CertificateState, KeyState

    with reading() as (home, registry):
        key = registry.key(serial)
        active = registry.certificates(key=serial, state=CertificateState.ACTIVE)
        admitted = {fingerprint for _, fingerprint in registry.access(now())}
        authority = load_certificate(home)
    if key.state is not KeyState.ACTIVE:
        raise RefusedError(
            f"YubiKey {serial} is {key.state}", f"`pivgate key show {serial}` tells since when and why."
        )
    if not active:
        raise RefusedError(
            f"YubiKey {serial} has no certificate in force",
            f"Give it one with `pivgate key provision --user {key.user} --serial {serial}`.",
        )
    current = active[-1]
    certificate = _parsed(current)
    verify_client(certificate, authority, now())
    if current.fingerprint not in admitted:
        raise RefusedError(
            f"The certificate of YubiKey {serial} is not admitted by the registry",
            f"`pivgate key show {serial}` and `pivgate user show {current.user}` tell why.",
        )
    match = _match(serial, certificate)
    if as_json:
        print_json(
            {"serial": serial, "user": key.user, "fingerprint": current.fingerprint, "key_match": match}
        )
        return
    click.echo(
        f"YubiKey {serial} of {key.user}: chain, dates and state are good, "
        f"until {current.not_after:%Y-%m-%d}."
    )
    click.echo(
        "The key in slot 9a belongs to the certificate."
        if match
        else "The key is not plugged in, so certificate and key could not be compared."
    )


def _parsed(record: "Certificate") -> "x509.Certificate":
    from cryptography import x509

    return x509.load_der_x509_certificate(record.der)


def _match(serial: int, certificate: "x509.Certificate") -> bool | None:
    """Compare the certificate with the key in slot 9a; None when that key is not plugged in."""
    from pivgate.yubikey import find
    from pivgate.yubikey.report import read_report

    try:
        device = find.select(find.pcsc_devices(), serial)
    except DeviceError:
        return None
    piv = read_report(device).piv
    key = piv.slot.key if piv else None
    if piv is None or key is None or key.public_key is None:
        raise RefusedError(
            f"Slot 9a of YubiKey {serial} holds no key that can be read", "Provision it anew with --replace."
        )
    if piv.slot.certificate != certificate:
        raise RefusedError(
            f"Slot 9a of YubiKey {serial} holds another certificate than the registry",
            f"Put ours back with `pivgate key provision --user … --serial {serial} --replace`.",
        )
    if key.public_key != certificate.public_key():
        raise RefusedError(
            f"The key in slot 9a of YubiKey {serial} does not belong to its certificate",
            f"Make a new pair with `pivgate key provision --user … --serial {serial} --replace`.",
        )
    return True
