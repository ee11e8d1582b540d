# SPDX-License-Identifier: Apache-2.0
"""``pivgate key list``: the keys in this machine and the keys in the registry."""

from typing import TYPE_CHECKING, Any

import click

from pivgate.cli.output import json_option, print_json, print_rows
from pivgate.cli.workplace import current_home, reading
from pivgate.errors import DeviceError

if TYPE_CHECKING:
    from pivgate.yubikey.report import PivReport, Report


@click.command(name="list")
@json_option
def list_keys(as_json: bool) -> None:
    """List the YubiKeys in this machine, and those in the registry.

    Reading a key spends none of its PIN tries.
    """
    plugged, trouble = _plugged_in()
    registered = _registered() if current_home().settings.exists() else []
    if as_json:
        print_json({"plugged_in": plugged, "registered": registered})
    if trouble is not None:
        click.echo(f"{trouble.message}. {trouble.hint}", err=True)
    if as_json:
        return
    if trouble is None:
        click.echo("In this machine:")
        columns = {
            "serial": "serial",
            "model": "model",
            "firmware": "firmware",
            "piv": "PIV",
            "pin_tries": "PIN tries",
            "puk_tries": "PUK tries",
            "still_factory": "still factory",
            "slot_9a": "slot 9a",
        }
        print_rows(columns, plugged, as_json=False, empty="No YubiKey is plugged in.")
    click.echo("\nRegistered:")
    columns = {"serial": "serial", "user": "user", "state": "state", "until": "until", "model": "model"}
    print_rows(columns, registered, as_json=False, empty="No key is registered yet.")


def _plugged_in() -> tuple[list[dict[str, Any]], DeviceError | None]:
    from pivgate.yubikey import find
    from pivgate.yubikey.report import read_report

    try:
        return [_row(read_report(device)) for device in find.pcsc_devices()], None
    except DeviceError as error:
        return [], error


def _row(report: "Report") -> dict[str, Any]:
    piv = report.piv
    state = "on" if piv else "off" if report.piv_supported else "none"
    return {
        "serial": report.serial,
        "model": report.model,
        "firmware": ".".join(map(str, report.firmware)),
        "form_factor": report.form_factor,
        "piv": f"{state}, locked" if report.locked and not piv else state,
        "pin_tries": piv.pin_tries if piv else None,
        "puk_tries": piv.puk_tries if piv else None,
        "still_factory": _still_factory(piv) if piv else None,
        "slot_9a": _slot(piv) if piv else None,
    }


def _still_factory(piv: "PivReport") -> list[str]:
    named = {
        "PIN": piv.pin_is_factory,
        "PUK": piv.puk_is_factory,
        "management key": piv.management_key_is_factory,
    }
    return [name if known else f"{name}?" for name, known in named.items() if known is not False]


def _slot(piv: "PivReport") -> str:
    slot = piv.slot
    if slot.certificate is not None:
        name, end = slot.certificate.subject.rfc4514_string(), slot.certificate.not_valid_after_utc
        return f"{name}, until {end:%Y-%m-%d}"
    if slot.unreadable:
        return "something that is no certificate"
    return "a key without a certificate" if slot.key else "empty"


def _registered() -> list[dict[str, Any]]:
    from pivgate.registry.states import CertificateState

    with reading() as (_, registry):
        active = registry.certificates(state=CertificateState.ACTIVE)
        ends = {certificate.key_serial: certificate.not_after for certificate in active}
        return [
            {
                "serial": key.serial,
                "user": key.user,
                "state": key.state,
                "model": key.model,
                "firmware": key.firmware,
                "form_factor": key.form_factor,
                "registered_at": key.registered_at,
                "until": ends.get(key.serial),
            }
            for key in registry.keys(retired=False)
        ]
