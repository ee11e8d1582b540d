# SPDX-License-Identifier: Apache-2.0
"""``pivgate emulate``: emulated YubiKeys behind a PC/SC service, for tests and for learning."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pivgate.cli.emulate_keys import FIRMWARES, Slots, keys_for
from pivgate.cli.emulate_seen import await_cards
from pivgate.cli.output import is_terminal, json_option, print_json
from pivgate.errors import DeviceError

if TYPE_CHECKING:
    from pivgate.emulator.pcsc.machine import MachineService
    from pivgate.emulator.pcsc.service import PcscService

_PATIENCE = 20.0
_COMMANDS = "insert, remove (each with a serial number, or for all), status, quit"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--firmware", type=click.Choice(FIRMWARES), help="Firmware of new keys.  [default: 5.7.4]")
@click.option("--serial", type=click.IntRange(1, 0xFFFFFFFF), help="Serial number of the first new key.")
@click.option("--keys", type=click.IntRange(1, 16), default=1, show_default=True, help="How many keys.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="File that keeps a key from one time to the next; may be repeated, once for each key.",
)
@click.option(
    "--machine", is_flag=True, help="Put them behind the machine's own PC/SC service, beside real keys."
)
@click.option(
    "--apdu-log",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write what is said to the keys into this file; `-` is stderr.",
)
@click.option("--removed", is_flag=True, help="Begin with the keys pulled out.")
@json_option
@click.argument("command", nargs=-1)
def emulate(
    firmware: str | None,
    serial: int | None,
    keys: int,
    state: tuple[Path, ...],
    machine: bool,
    apdu_log: Path | None,
    removed: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Put emulated YubiKeys behind a PC/SC service: for ykman, OpenSC, browsers, and this program.

    The service is one of their own: real keys are not touched, and a program sees the emulated ones only with
    the environment that is printed. A COMMAND is run with that environment, and all ends with it.

    Without a COMMAND, lines on standard input say what happens: insert, remove, status, quit.

    The emulated keys protect nothing: trust nothing to them.
    """
    if sys.platform != "linux":
        raise DeviceError(
            "Emulated keys stand behind pcscd, and this system has a PC/SC service that takes none",
            "Use a Linux machine. `pivgate demo` needs no PC/SC service and runs here.",
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = keys_for(firmware, serial, keys, state)
    with _service(made, machine, apdu_log) as (service, slots):
        if not removed:
            slots.insert(None)
            await_cards(service.environment, slots.inserted, _PATIENCE)
        if command:
            sys.exit(_run(command, service.environment))
        # Ctrl-C is how it is meant to end: no command is begun that somebody would have to complete.
        with suppress(KeyboardInterrupt):
            _tell(slots, service.environment, as_json)
            _obey(slots)


@contextmanager
def _service(
    made: "Slots", machine: bool, apdu_log: Path | None
) -> Iterator[tuple["PcscService | MachineService", Slots]]:
    import shutil
    import tempfile

    from pivgate.emulator.pcsc.driver import PcscSetupError
    from pivgate.emulator.pcsc.machine import MachinePlaces, MachineService
    from pivgate.emulator.pcsc.service import PcscService

    folder = Path(tempfile.mkdtemp(prefix="pivgate-"))
    places = MachinePlaces()
    try:
        made.put_into(places.sockets if machine else folder)
        service = MachineService(made.readers, places) if machine else PcscService(folder, made.readers)
        with made.logged(apdu_log):
            service.start()
            try:
                yield service, made
            finally:
                made.remove(None)
                service.stop()
    except PcscSetupError as error:
        raise DeviceError(str(error), error.remedy) from error
    except OSError as error:
        raise DeviceError(
            f"Emulated keys cannot be put behind a PC/SC service here: {error}",
            "Set TMPDIR to a folder with a short path that you can write.",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    import os

    try:
        done = subprocess.run(list(command), env={**os.environ, **environment}, check=False)  # noqa: S603
    except OSError as error:
        raise DeviceError(
            f"Cannot run {command[0]}: {error.strerror}", "Check its name; options of pivgate come before it."
        ) from error
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _tell(slots: Slots, environment: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"environment": environment, "keys": slots.rows()})
        sys.stdout.flush()
        return
    click.echo("Emulated YubiKeys: they protect nothing, trust nothing to them.")
    _status(slots)
    if environment:
        click.echo("\nPrograms see them with this in their environment:")
        for name, value in environment.items():
            click.echo(f"  export {name}={value}")
    click.echo(f"\nWhat you can type: {_COMMANDS}.")
    sys.stdout.flush()


def _status(slots: Slots) -> None:
    for row in slots.rows():
        there = "in its reader" if row["inserted"] else "pulled out"
        click.echo(f"  {row['serial']}  firmware {row['firmware']}  {there}")


def _obey(slots: Slots) -> None:
    """Do what the lines on standard input say; at their end, wait for a signal."""
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word in ("quit", "exit"):
            return
        if word in ("insert", "remove") and (not rest or rest.strip() in slots.serials):
            act = slots.insert if word == "insert" else slots.remove
            act(int(rest) if rest else None)
            _status(slots)
        elif word == "status":
            _status(slots)
        elif word:
            click.echo(f"{line.strip()!r} is not understood. What you can type: {_COMMANDS}.", err=True)
        sys.stdout.flush()
    if not is_terminal(sys.stdin):
        signal.pause()
