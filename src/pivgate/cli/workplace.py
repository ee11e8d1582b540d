# SPDX-License-Identifier: Apache-2.0
"""What every command needs: which home, who acts, when, and the registry opened."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pivgate.errors import StorageError
from pivgate.files import exclusive_lock
from pivgate.settings import Home, default_home, load_settings

if TYPE_CHECKING:
    from pivgate.registry.store import Registry

SOON = timedelta(days=30)
"""How long before a certificate ends its end is spoken of, and it may be renewed."""

_ACTOR_LIMIT = 100
# A withdrawal does not give up soon: another command may be knocking at every site.
_PATIENCE = {False: 10.0, True: 120.0}


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
    from pivgate.registry.store import Registry

    home = current_home()
    load_settings(home)
    with Registry.open(home.registry, home.audit_head) as registry:
        yield home, registry


@contextmanager
def changing(*, withdrawing: bool = False) -> Iterator[tuple[Home, "Registry"]]:
    """Open the registry to change it, alone: no other command changes this home meanwhile.

    Args:
        withdrawing: Access is only taken away. That is done with an older copy of the registry, too; what
            can grant something is refused then.
    """
    from pivgate.registry.store import Registry

    home = current_home()
    load_settings(home)
    try:
        with (
            exclusive_lock(home.lock, _PATIENCE[withdrawing]),
            Registry.open(home.registry, home.audit_head) as registry,
        ):
            if not withdrawing:
                registry.check_head()
            yield home, registry
    except StorageError as error:
        if withdrawing:
            error.hint = f"To shut everybody out now: `pivgate down`, which needs no registry. {error.hint}"
        raise
