# SPDX-License-Identifier: Apache-2.0
"""The text of the units. Pure.

Caddy is the service's own process: it starts with nothing but its admin API, as a user of its own, with no
more than it needs. Whatever it is to serve, `pivgate up` proves and hands over through that socket, as root
and outside of these restrictions. So a Caddy that was started again serves nobody until that is done.
"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pivgate.errors import InputError
from pivgate.settings import SERVICE, Home

USER: Final = "pivgate"
CARE: Final = "pivgate-care.service"
TIMER: Final = "pivgate-care.timer"

_WRITTEN: Final = "# Written by `pivgate up --systemd`, removed by `pivgate down --systemd`."
# systemd.syntax(7) and systemd.service(5), COMMAND LINES: what none of its quoting rules touches.
_PLAIN: Final = re.compile(r"[A-Za-z0-9@/_.,:+=-]+")


@dataclass(frozen=True)
class Kept:
    """What is to be kept.

    Attributes:
        home: The home of the gate.
        caddy: The program that its user may run.
        pivgate: The words that run pivgate, as root.
        admin: The first configuration: Caddy's admin API and nothing else, JSON.
        environment: What Caddy finds in its environment.
    """

    home: Home
    caddy: Path
    pivgate: Sequence[str]
    admin: dict[str, object]
    environment: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse words that mean something else to systemd.

        Raises:
            InputError: There is one.
        """
        for word in (str(self.home.root), str(self.caddy), *self.pivgate, *self.environment.values()):
            if not _PLAIN.fullmatch(word.replace("|", "")):
                raise InputError(
                    f"{word!a} cannot be written into a unit of systemd",
                    "Move it to a path of letters, digits and . _ - only.",
                )


def sysusers_text(home: Home) -> str:
    """Write what makes systemd-sysusers create Caddy's user (sysusers.d(5))."""
    return f'{_WRITTEN}\nu {USER} - "Caddy of the pivgate gate" {home.root}\n'


def service_text(kept: Kept) -> str:
    """Write the service that keeps Caddy."""
    home = kept.home
    run = shlex.join([str(kept.caddy), "run", "--config", "-", "--pidfile", str(home.caddy_pid)])
    up = shlex.join([*kept.pivgate, "up"])
    environment = "\n".join(f"Environment={name}={value}" for name, value in kept.environment.items())
    left = ("caddy.pid", "severing.json", "proven.json", "successor")
    names = " ".join(f"-o -name {name}" for name in left)
    return f"""\
{_WRITTEN}
[Unit]
Description=The gate of pivgate: Caddy, which lets in only who has a YubiKey of ours
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
User={USER}
Group={USER}
WorkingDirectory={home.caddyfile.parent}
{environment}
StandardInput=data
StandardInputText={json.dumps(kept.admin, separators=(",", ":"))}
# What a Caddy has left that was killed.
ExecStartPre=/usr/bin/find {home.run} -maxdepth 1 ( -type s {names} ) -delete
ExecStart={run}
# As root: prove the Caddyfile, load it, knock.
ExecStartPost=+{up}
# Severing asks for a second Caddy by a file; without it, a reload is `pivgate up`.
ExecReload=/bin/sh -c '[ ! -e "$$0" ] || exec setsid --fork env -u NOTIFY_SOCKET "$$@"' {home.successor} {run}
ExecReload=+/bin/sh -c 'rm "$$0" 2>/dev/null || exec "$$@"' {home.successor} {up}
# After severing, the process that is looked after is the one named here.
PIDFile={home.caddy_pid}
Restart=on-failure
RestartSec=2
TimeoutStartSec=300
TimeoutStopSec=5
LimitNOFILE=1048576

AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={home.run} {home.caddy_storage}
{_RESTRICTED}
ProtectHome=yes
ProtectProc=invisible
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""


_RESTRICTED: Final = """\
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
UMask=0077"""


def care_text(kept: Kept) -> str:
    """Write the service that looks after the gate once a day, while it is up.

    It is `pivgate up` as root: it ends processes of Caddy's user, reads the registry, and writes in the home.
    """
    return f"""\
{_WRITTEN}
[Unit]
Description=Bring the gate of pivgate to its registry and Caddyfile
After={SERVICE}

[Service]
Type=oneshot
Environment=PIVGATE_CADDY={kept.caddy}
ExecCondition=/bin/systemctl --quiet is-active {SERVICE}
ExecStart={shlex.join([*kept.pivgate, "up"])}
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SYS_PTRACE
NoNewPrivileges=yes
ProtectHome=read-only
ProtectSystem=strict
ReadWritePaths={kept.home.root}
{_RESTRICTED}
# The last is for severing: to tell the kernel which of two Caddys is to get new connections.
SystemCallFilter=@system-service pidfd_getfd
"""


def timer_text() -> str:
    """Write the timer of the daily service."""
    return f"""\
{_WRITTEN}
[Unit]
Description=Look after the gate of pivgate once a day

[Timer]
OnCalendar=*-*-* 04:00
RandomizedDelaySec=30min
Persistent=yes

[Install]
WantedBy=timers.target
"""


def written_by_us(text: bytes) -> bool:
    """Say whether a file is one of these."""
    return text.startswith(_WRITTEN.encode())
