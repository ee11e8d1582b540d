# SPDX-License-Identifier: Apache-2.0
"""Where the rules are kept, and what has systemd load them: before the network comes up, and after a flush.

``nftables.service`` of the distributions flushes every table when it is started, reloaded or stopped, ours
too. A drop-in of ours for it loads ours again within the same step, so that there is no moment afterwards at
which they are missing. Where that service does not exist, the drop-in means nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNIT: Final = "pivgate-firewall.service"
_WANTED_BY: Final = "sysinit.target"
_FLUSHES: Final = "nftables.service"
_WRITTEN: Final = "# Written by `pivgate firewall apply`, removed by `pivgate firewall undo`."


@dataclass(frozen=True)
class Places:
    """The files of an applied firewall, by their names on any Linux machine."""

    root: Path = Path("/")

    @property
    def folder(self) -> Path:
        """Holds nothing but our own files."""
        return self.root / "etc" / "pivgate-firewall"

    @property
    def rules(self) -> Path:
        """What is loaded at boot. It is written first and removed last: where it is, the table is ours."""
        return self.folder / "rules.nft"

    @property
    def applied(self) -> Path:
        """The table as nft showed it right after it was loaded; written last."""
        return self.folder / "applied"

    @property
    def units(self) -> Path:
        """Where systemd looks for units that were made on this machine."""
        return self.root / "etc" / "systemd" / "system"

    @property
    def unit(self) -> Path:
        """The unit that loads the rules."""
        return self.units / UNIT

    @property
    def wanted(self) -> Path:
        """The link by which the unit is enabled."""
        return self.units / f"{_WANTED_BY}.wants" / UNIT

    @property
    def drop_in(self) -> Path:
        """What is added to the service that flushes all tables."""
        return self.units / f"{_FLUSHES}.d" / "pivgate-firewall.conf"

    @property
    def has_systemd(self) -> bool:
        """Whether there is a systemd here that could load the rules."""
        return self.units.is_dir()

    @property
    def lock(self) -> Path:
        """Held by whoever changes any of these; gone after a reboot."""
        return self.root / "run" / "pivgate-firewall.lock"


def unit_text(nft: Path, rules: Path) -> str:
    """Write the unit. Stopping it leaves the rules where they are: only ``firewall undo`` opens the way.

    Args:
        nft: The program that loads the rules.
        rules: The file with the rules.
    """
    return f"""\
{_WRITTEN}
[Unit]
Description=Keep everybody but the gate from the upstreams behind pivgate
Documentation=man:nft(8)
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After={_FLUSHES}
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {rules}
ExecReload={nft} -f {rules}
CapabilityBoundingSet=CAP_NET_ADMIN
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=full
StandardInput=null

[Install]
WantedBy={_WANTED_BY}
"""


def drop_in_text(nft: Path, rules: Path) -> str:
    """Write the drop-in, with the same arguments as ``unit_text``."""
    return f"""\
{_WRITTEN}
[Service]
ExecStartPost={nft} -f {rules}
ExecReload={nft} -f {rules}
ExecStopPost={nft} -f {rules}
"""


def written_by_us(text: bytes) -> bool:
    """Say whether a file of systemd's is one of these."""
    return text.startswith(_WRITTEN.encode())
