# SPDX-License-Identifier: Apache-2.0
"""``pivgate key provision`` and ``reset-pin``: what is done with the key in this machine."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.secrets import MANAGEMENT_KEY, PASSPHRASE, PIN, PUK
from pivgate.cli.workplace import SOON, actor, now, reading
from pivgate.errors import SecretError
from pivgate.settings import load_settings

if TYPE_CHECKING:
    from pivgate.yubikey.plan import StepEvent

ALGORITHMS = ("p384", "p256", "rsa2048", "rsa3072", "rsa4096", "ed25519", "x25519")
_PUK_LENGTH = 8

serial_option = click.option("--serial", type=int, help="Which YubiKey, when several are plugged in.")
last_try_option = click.option(
    "--use-last-try", is_flag=True, help="Try even when only one try is left. A wrong one blocks."
)


@click.command(name="provision")
@click.option("--user", required=True, help="Whose key it is to be.")
@serial_option
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="p384", show_default=True)
@click.option(
    "--touch",
    type=click.Choice(("never", "cached")),
    default="never",
    show_default=True,
    help="Whether logging in wants a finger on the key; `cached` asks once in 15 seconds.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Overwrite what is in slot 9a and is not ours; renew a certificate in its last 30 days.",
)
@last_try_option
@PASSPHRASE.click_option()
@PIN.click_option()
@PUK.click_option()
@MANAGEMENT_KEY.click_option()
def provision_key(
    user: str,
    serial: int | None,
    algorithm: str,
    touch: str,
    replace: bool,
    use_last_try: bool,
    passphrase_file: Path | None,
    pin_file: Path | None,
    puk_file: Path | None,
    management_key_file: Path | None,
) -> None:
    """Bring the YubiKey in this machine from any state to a proven login.

    Interrupted, or the key pulled out? Run the same command again: it goes on where it stopped.

    The private key is made inside the YubiKey and never leaves it. Leave the PUK empty to get a random one,
    which is shown once.
    """
    from pivgate.enrolment.authority import load_certificate, unlock
    from pivgate.enrolment.local import LocalEnrolment
    from pivgate.yubikey import find
    from pivgate.yubikey.algorithms import leaf_algorithm
    from pivgate.yubikey.plan import Plan, Secrets, Touch
    from pivgate.yubikey.provision import provision

    device = find.select(find.pcsc_devices(), serial)
    click.echo(f"YubiKey {device.serial}: {device.description}")
    plan = Plan(
        user=user,
        secrets=Secrets(
            new_pin=lambda: PIN.ask(pin_file, new=True, advice="Choose a PIN of 6 to 8 characters."),
            new_puk=lambda: _new_puk(puk_file),
            pin=lambda tries: PIN.ask(pin_file, advice=f"PIN of the YubiKey; tries left: {tries}."),
            management_key=lambda: _management_key(management_key_file),
        ),
        algorithm=leaf_algorithm(algorithm),
        touch=Touch(touch),
        replace=replace,
        use_last_try=use_last_try,
        now=now,
    )
    with reading() as (home, registry):
        enrolment = LocalEnrolment(
            home,
            registry,
            user,
            unlock=lambda: unlock(home, lambda: PASSPHRASE.ask(passphrase_file), now()),
            authority_certificate=load_certificate(home),
            client_days=load_settings(home).client_days,
            actor=actor(),
            clock=now,
            renew_within=SOON if replace else timedelta(0),
        )
        done = provision(device, plan, enrolment, _show_step)
    for advice in done.advice:
        click.echo(f"Note: {advice}", err=True)
    until = f"{done.certificate.not_valid_after_utc:%Y-%m-%d}"
    click.echo(f"{user} can log in with YubiKey {done.facts.serial} until {until}.")


@click.command(name="reset-pin")
@serial_option
@last_try_option
@PUK.click_option()
@PIN.click_option()
def reset_pin(serial: int | None, use_last_try: bool, puk_file: Path | None, pin_file: Path | None) -> None:
    """Set a new PIN with the PUK: for a forgotten or blocked PIN."""
    from pivgate.yubikey import find, pins
    from pivgate.yubikey.report import read_report

    device = find.select(find.pcsc_devices(), serial)
    click.echo(f"YubiKey {device.serial}: {device.description}")
    piv = read_report(device).piv
    tries = piv.puk_tries if piv else None
    left = "unknown" if tries is None else str(tries)
    puk = PUK.ask(puk_file, advice=f"PUK of the YubiKey; tries left: {left}.")
    new_pin = PIN.ask(pin_file, new=True, advice="Choose a PIN of 6 to 8 characters.")
    pins.reset_pin(device, puk, new_pin, use_last_try=use_last_try)
    click.echo("The new PIN is set.")


def _new_puk(file: Path | None) -> str:
    advice = "Choose a PUK of 6 to 8 characters, or leave it empty for a random one. It ends a blocked PIN."
    chosen = PUK.ask(file, new=True, advice=advice)
    if chosen:
        return chosen
    puk = "".join(secrets.choice("0123456789") for _ in range(_PUK_LENGTH))
    click.echo(
        f"PUK: {puk}  Write it down now and keep it apart from the key; it is not shown again.", err=True
    )
    return puk


def _management_key(file: Path | None) -> bytes:
    text = MANAGEMENT_KEY.ask(
        file, advice="The management key is neither the factory's nor stored on the key."
    )
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SecretError(
            "A management key is written as hexadecimal digits", "Give it again; no try was spent."
        ) from None


def _show_step(event: "StepEvent") -> None:
    from pivgate.yubikey.plan import StepState

    if event.state is StepState.STARTED and not event.detail:
        # The one step that can take a minute, when the YubiKey looks for the primes of an RSA key.
        if event.name == "key-pair":
            click.echo("  … making the key pair inside the YubiKey")
        return
    mark = {StepState.STARTED: "… ", StepState.SKIPPED: "=  ", StepState.DONE: "ok "}[event.state]
    word = {StepState.STARTED: "", StepState.SKIPPED: " (was done)", StepState.DONE: ""}[event.state]
    click.echo(f"  {mark}{event.title}{word}{f': {event.detail}' if event.detail else ''}")
