# SPDX-License-Identifier: Apache-2.0
"""``pivgate ca``: the authority's certificate and its revocation list."""

import os
import stat
import sys
from pathlib import Path

import click

from pivgate.cli.command_group import CommandGroup
from pivgate.cli.output import json_option, print_json
from pivgate.cli.secrets import PASSPHRASE
from pivgate.cli.workplace import actor, changing, current_home, now
from pivgate.errors import StorageError
from pivgate.files import PUBLIC_FILE, storage_error, write_atomic
from pivgate.settings import load_settings


@click.group(cls=CommandGroup)
def ca() -> None:
    """The certificate authority."""


@ca.command(name="show")
@json_option
def show_authority(as_json: bool) -> None:
    """Print the authority's certificate, as `openssl x509 -text` does."""
    from cryptography.hazmat.primitives import hashes

    from pivgate.authority.display import describe
    from pivgate.enrolment.authority import load_certificate

    home = current_home()
    load_settings(home)
    certificate = load_certificate(home)
    if as_json:
        print_json(
            {
                "subject": certificate.subject.rfc4514_string(),
                "serial": f"{certificate.serial_number:x}",
                "not_before": certificate.not_valid_before_utc,
                "not_after": certificate.not_valid_after_utc,
                "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
            }
        )
        return
    click.echo(describe(certificate), nl=False)


_der_option = click.option("--der", is_flag=True, help="Binary instead of PEM.")
_out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: standard output]",
)


@ca.command()
@_der_option
@_out_option
def export(der: bool, out: Path | None) -> None:
    """Export the authority's certificate, never its key."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from pivgate.enrolment.authority import load_certificate

    home = current_home()
    load_settings(home)
    _check_output(out)
    _put(load_certificate(home).public_bytes(Encoding.DER if der else Encoding.PEM), out)


@ca.command()
@_der_option
@_out_option
@PASSPHRASE.click_option()
def crl(der: bool, out: Path | None, passphrase_file: Path | None) -> None:
    """Sign a revocation list for programs other than our gate, which needs none."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from pivgate.authority.crl import Revoked, issue_crl
    from pivgate.enrolment.authority import unlock

    home = current_home()
    load_settings(home)
    _check_output(out)
    authority = unlock(home, lambda: PASSPHRASE.ask(passphrase_file), now())
    with changing() as (_, registry):
        revoked = [Revoked(row.serial_number, row.revoked_at, row.reason) for row in registry.revoked(now())]
        number = registry.next_crl_number(actor=actor(), now=now())
        signed = issue_crl(authority, revoked, number=number, now=now(), days=load_settings(home).crl_days)
    _put(signed.public_bytes(Encoding.DER if der else Encoding.PEM), out)
    click.echo(
        f"Revocation list {number}: {len(revoked)} certificates; next one due "
        f"{signed.next_update_utc:%Y-%m-%d}.",
        err=True,
    )


def _check_output(out: Path | None) -> None:
    # Before anything is signed: a list that nobody got would have used up a number.
    if out is None and sys.stdout is None:
        raise StorageError("Standard output is closed", "Name a file with --out.")
    if out is not None and not out.parent.is_dir():
        raise StorageError(f"There is no folder {out.parent}", "Create it, or name another file with --out.")


def _put(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        if not os.path.lexists(out) or stat.S_ISREG(out.lstat().st_mode):
            write_atomic(out, data, PUBLIC_FILE)
        else:
            # A device, a pipe or a link is written to, as a shell would; never replaced by a file.
            out.write_bytes(data)
    except OSError as error:
        raise storage_error("write", out, error) from error
    click.echo(f"Written to {out}.", err=True)
