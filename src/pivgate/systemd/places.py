# SPDX-License-Identifier: Apache-2.0
"""Where the units are."""

from dataclasses import dataclass
from pathlib import Path

from pivgate.settings import SERVICE
from pivgate.systemd.units import CARE, TIMER, USER


@dataclass(frozen=True)
class Places:
    """The files of an installed service, by their names on any Linux machine."""

    root: Path = Path("/")

    @property
    def units(self) -> Path:
        """Where systemd looks for units that were made on this machine."""
        return self.root / "etc" / "systemd" / "system"

    @property
    def service(self) -> Path:
        """The service."""
        return self.units / SERVICE

    @property
    def care(self) -> Path:
        """The daily service."""
        return self.units / CARE

    @property
    def timer(self) -> Path:
        """Its timer."""
        return self.units / TIMER

    @property
    def user(self) -> Path:
        """What makes systemd create Caddy's user; written first and removed last."""
        return self.root / "etc" / "sysusers.d" / f"{USER}.conf"

    @property
    def links(self) -> dict[Path, Path]:
        """The links by which service and timer are enabled, each with the unit it leads to."""
        return {
            self.units / "multi-user.target.wants" / SERVICE: self.service,
            self.units / "timers.target.wants" / TIMER: self.timer,
        }

    @property
    def has_systemd(self) -> bool:
        """Whether there is a systemd here that could keep the gate after the next boot."""
        return self.units.is_dir()

    @property
    def lock(self) -> Path:
        """Held by whoever changes any of these; gone after a reboot."""
        return self.root / "run" / "pivgate-systemd.lock"
