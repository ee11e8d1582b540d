# SPDX-License-Identifier: Apache-2.0
"""``pivgate up --systemd`` and ``down --systemd``: let a service of systemd keep the gate, or no longer."""

import os
import sys
from typing import TYPE_CHECKING

import click

from pivgate.cli.output import busy
from pivgate.cli.workplace import current_home
from pivgate.errors import GateError, HomeError, RefusedError
from pivgate.settings import SERVICE, Home, load_settings
from pivgate.systemctl import call, is_running

if TYPE_CHECKING:
    from pivgate.systemd.places import Places

_ENVIRONMENT = ("CADDY_ADMIN", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "GODEBUG", "GOGC")


def install() -> None:
    """Write the units, hand Caddy's part of the home to its user, and start the service."""
    from pivgate.files import exclusive_lock
    from pivgate.gate.admin import at_home
    from pivgate.gate.caddy import find_caddy, surroundings
    from pivgate.gate.process import stop
    from pivgate.gate.sharing import share
    from pivgate.systemd import install as units
    from pivgate.systemd.ownership import check_caddy, check_home, give
    from pivgate.systemd.places import Places
    from pivgate.systemd.units import USER, Kept

    home, places = _checked(), Places()
    check_home(home)
    caddy = find_caddy().path
    around = surroundings(home)
    kept = Kept(
        home,
        caddy,
        (sys.executable, "-P", "-m", "pivgate", "--home", str(home.root)),
        at_home({}, home.admin_socket),
        {**{name: around[name] for name in _ENVIRONMENT}, "PIVGATE_CADDY": str(caddy)},
    )
    with exclusive_lock(places.lock):
        units.create_user(home, places)
        check_caddy(caddy)
        with exclusive_lock(home.lock):
            stop_service(home)
            stop(home)
            give(home)
            share(home)
        units.install(kept, places)
    click.echo(f"{SERVICE} keeps the gate from now on; Caddy runs as the user {USER}.")
    if is_running():
        start(home)
    else:
        click.echo("systemd does not run here: the gate starts at the next boot, or with `pivgate up`.")


def uninstall() -> None:
    """Stop the gate, remove the units, and make the whole home root's again."""
    from pivgate.files import exclusive_lock
    from pivgate.gate.process import stop
    from pivgate.gate.sharing import close
    from pivgate.systemd import install as units
    from pivgate.systemd.ownership import take_back
    from pivgate.systemd.places import Places

    home, places = _checked(), Places()
    with exclusive_lock(places.lock):
        if not units.is_begun(places):
            click.echo("There is no service to remove.")
            return
        if not units.is_of(home, places):
            raise HomeError("The service keeps the gate of another home", "Name that home, with --home.")
        units.disable(places)
        with exclusive_lock(home.lock):
            stop_service(home)
            stop(home)
            take_back(home)
            close(home)
        units.remove(places)
    click.echo("The gate is down, and its units are gone. `pivgate up` starts it without systemd.")


def is_kept_and_down(home: Home) -> bool:
    """Return whether the gate is to be started by its service: it is installed, and Caddy does not run."""
    from pivgate.gate.process import running
    from pivgate.gate.unit import keeps_us
    from pivgate.systemd.places import Places

    return _is_kept(home, Places()) and running(home) is None and not keeps_us()


def stop_service(home: Home) -> None:
    """Have systemd stop the gate, if it keeps it: it may be just about to start it again.

    Raises:
        GateError: systemd does not do it.
    """
    from pivgate.gate.unit import ask
    from pivgate.systemd.places import Places

    if _is_kept(home, Places()):
        ask("stop")


def _is_kept(home: Home, places: "Places") -> bool:
    from pivgate.systemd.install import is_of

    return is_running() and places.service.exists() and is_of(home, places)


def start(home: Home) -> None:
    """Have systemd start the gate, and wait until it is proved.

    Raises:
        GateError: It does not come up.
    """
    from pivgate.gate.process import running

    logged = f"`journalctl -u {SERVICE} -n 20` says why."
    try:
        call("systemctl", "reset-failed", SERVICE)
        busy("Starting, proving, knocking…", lambda: call("systemctl", "start", SERVICE))
    except RefusedError as error:
        raise GateError(f"The gate did not come up: {error.message}", logged) from error
    found = running(home)
    if found is None:
        raise GateError("The gate has ended again", logged)
    click.echo(f"The gate is up, process {found.pid}. What it does: `journalctl -u {SERVICE}`.")


def _checked() -> Home:
    if os.geteuid() != 0:
        raise RefusedError("Only root changes the units of systemd", "Run the command with sudo.")
    home = current_home()
    load_settings(home)
    return home
