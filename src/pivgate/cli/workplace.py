# SPDX-License-Identifier: Apache-2.0
"""What every command needs: which home, who acts, when, and the registry opened."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pivgate.files import exclusive_lock
from pivgate.settings import Home, default_home, load_settings

if TYPE_CHECKING:
    from pivgate.registry.store import Registry

SOON = timedelta(days=30)
"""How long before a certificate ends its end is spoken of, and it may be renewed."""


def current_home() -> Home:
    """Return the home that this command works on; it may not exist yet."""
    return Home((click.get_current_context().find_root().obj or default_home()).absolute())


def actor() -> str:
    """Return who runs the command, for the audit log: the person behind ``sudo``, if any."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
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
def changing() -> Iterator[tuple[Home, "Registry"]]:
    """Open the registry to change it, alone: no other command changes this home meanwhile."""
    from pivgate.registry.store import Registry

    home = current_home()
    load_settings(home)
    with exclusive_lock(home.lock), Registry.open(home.registry, home.audit_head) as registry:
        yield home, registry
