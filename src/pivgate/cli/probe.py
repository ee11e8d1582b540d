# SPDX-License-Identifier: Apache-2.0
"""``pivgate probe``: a login from the command line with the key in this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pivgate.cli.key_provision import last_try_option, serial_option
from pivgate.cli.output import json_option, print_fields, print_json
from pivgate.cli.secrets import PIN
from pivgate.cli.workplace import current_home, now
from pivgate.errors import PivgateError

if TYPE_CHECKING:
    from pivgate.client.findings import Findings
    from pivgate.client.key import CardKey

ca_option = click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file with the only authorities that may vouch for the server.  "
    "[default: the system's, and that of this home's gate]",
)
connect_to_option = click.option(
    "--connect-to", metavar="HOST:PORT", help="Connect there instead; the site's name stays that of the URL."
)


def open_key(serial: int | None, pin_file: Path | None, *, use_last_try: bool) -> "CardKey":
    """Open the key in this machine; its PIN is asked for when it demands it."""
    from pivgate.client.key import CardKey
    from pivgate.yubikey import find

    return CardKey(
        find.select(find.pcsc_devices(), serial),
        ask_pin=lambda tries: PIN.ask(pin_file, advice=f"PIN of the YubiKey; tries left: {tries}."),
        on_touch=lambda: click.echo("Touch the YubiKey when it blinks.", err=True),
        use_last_try=use_last_try,
    )


@click.command(name="probe")
@click.argument("url")
@serial_option
@click.option("--tls", type=click.Choice(("1.2", "1.3")), help="Use only this version of TLS.")
@ca_option
@connect_to_option
@last_try_option
@PIN.click_option()
@json_option
def probe(
    url: str,
    serial: int | None,
    tls: str | None,
    ca: Path | None,
    connect_to: str | None,
    use_last_try: bool,
    pin_file: Path | None,
    as_json: bool,
) -> None:
    """Log in to a site with the key in this machine, and show what happens.

    Exit status 0 when the gate lets the key in, whatever the site behind it answers, except 401 and 403.
    """
    from pivgate.client.findings import begin
    from pivgate.client.probe import probe as log_in
    from pivgate.client.site import parse_site
    from pivgate.client.trust import load_trust

    site = parse_site(url, connect_to)
    trust = load_trust(ca, current_home())
    key = open_key(serial, pin_file, use_last_try=use_last_try)
    found = begin(site, key.certificate)
    refusal: PivgateError | None = None
    try:
        log_in(site, key, trust, found, tls=tls, now=now())
    except PivgateError as error:
        refusal = error
    _show(found, key.device.serial, refusal, as_json=as_json)
    if refusal:
        raise refusal


def _show(found: "Findings", serial: int | None, refusal: PivgateError | None, *, as_json: bool) -> None:
    if as_json:
        said = {"message": refusal.message, "remedy": refusal.hint} if refusal else None
        print_json({**asdict(found), "key": serial, "refusal": said})
        return
    asked = {None: "it did not come to that", True: "yes", False: "no"}[found.certificate_asked]
    fields: dict[str, Any] = {
        "site": found.url,
        "connected to": found.address,
        "server certificate": found.server_certificate,
        "TLS": f"{found.tls}, {found.cipher}" if found.tls else None,
        "certificate asked for": asked,
        "of authorities": None if found.authorities is None else "; ".join(found.authorities) or "any",
        "certificate on the key": f"{found.subject}, from {found.issuer}, "
        f"{found.not_before:%Y-%m-%d} to {found.not_after:%Y-%m-%d}",
        "its fingerprint": found.fingerprint,
        "YubiKey": serial,
        "signatures": found.signatures,
        "took": ", ".join(f"{step} {took:.0f} ms" for step, took in found.milliseconds.items()) or None,
        "answer": _answer(found),
    }
    print_fields(fields)
    if refusal is None:
        click.echo(f"The gate let {found.subject} in.")


def _answer(found: "Findings") -> str | None:
    if found.status is None:
        return None
    if found.gate_reason:
        return f"{found.status} by the gate: {found.gate_reason}"
    onward = f", sends on to {found.location}" if found.location else ""
    broken = ": the site behind the gate does not answer well" if found.status >= 500 else ""
    return f"{found.status}{onward}{broken}"
