# SPDX-License-Identifier: Apache-2.0
"""What every command needs: which home, who acts, when, and the registry opened."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pivgate.errors import StorageError
from pivgate.files import exclusive_lock, remove_unfinished
from pivgate.settings import Home, default_home, load_settings

if TYPE_CHECKING:
    from pivgate.registry.store import Registry

SOON = timedelta(days=30)
"""How long before a certificate ends its end is spoken of, and it may be renewed."""

_ACTOR_LIMIT = 100
_PATIENCE = 10.0
# A withdrawal does not give up soon: another command may be knocking at every site.
PATIENCE_TO_WITHDRAW = 120.0
WITHOUT_REGISTRY = (
    "To shut everybody out now: `pivgate down`; one certificate: `pivgate key revoke FINGERPRINT`, if you "
    "know how that begins. Neither needs the registry."
)


def current_home() -> Home:
    """Return the home that this command works on; it may not exist yet."""
    return Home((click.get_current_context().find_root().obj or default_home()).resolve())


def actor() -> str:
    """Return who runs the command, for the audit log: the person behind ``sudo``, if any."""
    try:
        named = os.environ.get("SUDO_USER") or getpass.getuser()
        return "".join(character if character.isprintable() else "?" for character in named)[:_ACTOR_LIMIT]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


@contextmanager
def reading() -> Iterator[tuple[Home, "Registry"]]:
    """Open the registry, without the lock of the home: to read, or where each change takes it by itself."""
    home = current_home()
    load_settings(home)
    with _opened(home) as registry:
        yield home, registry


def _opened(home: Home) -> "Registry":
    """Open the registry; to read it only, where the disk is full or read-only."""
    from pivgate.registry.store import Registry

    try:
        return Registry.open(home.registry, home.audit_head)
    except StorageError as error:
        with suppress(StorageError):
            return Registry.look(home.registry, home.audit_head)
        raise error


@contextmanager
def changing(*, withdrawing: bool = False) -> Iterator[tuple[Home, "Registry"]]:
    """Open the registry to change it, alone: no other command changes this home meanwhile.

    Args:
        withdrawing: Access is only taken away. That is done with an older copy of the registry, too; what
            can grant something is refused then.
    """
    home = current_home()
    load_settings(home)
    if withdrawing:
        with _withdrawing(home) as registry:
            yield home, registry
        return
    from pivgate.enrolment import reserve
    from pivgate.registry.store import Registry

    with (
        exclusive_lock(home.lock, _PATIENCE),
        Registry.open(home.registry, home.audit_head) as registry,
    ):
        registry.check_head()
        yield home, registry
        _clean_up(home)
        reserve.keep(home)


@contextmanager
def _withdrawing(home: Home) -> Iterator["Registry"]:
    from pivgate.enrolment import reserve

    try:
        with exclusive_lock(home.lock, PATIENCE_TO_WITHDRAW), reserve.spent_when_full(home) as spent:
            if spent:
                click.echo(
                    "The disk is full. This is done with the space that the home keeps for it; free some, "
                    "since nothing else can be done until then.",
                    err=True,
                )
            with _opened(home) as registry:
                yield registry
            _clean_up(home)
    except StorageError as error:
        error.hint = f"{WITHOUT_REGISTRY} {error.hint}"
        raise


def _clean_up(home: Home) -> None:
    for folder in (home.caddyfile.parent, home.run, *home.upstreams.glob("[!.]*")):
        remove_unfinished(folder)
