# SPDX-License-Identifier: Apache-2.0
"""The upstreams: whether they answer, and whether somebody else than the gate could reach them."""

import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from pivgate.doctor.finding import Trouble
from pivgate.doctor.patience import NO_NAME_SERVER, within
from pivgate.doctor.place import Place
from pivgate.doctor.sites_facts import Config, SitesFacts
from pivgate.enrolment.upstream_endings import Ending, endings
from pivgate.errors import PivgateError, StorageError
from pivgate.files import read_file
from pivgate.firewall.boot import Places as FirewallPlaces
from pivgate.firewall.certificate import Demand, prove
from pivgate.firewall.reach import Guard, Way
from pivgate.firewall.survey import known_guard, sort_targets, try_ways
from pivgate.gate.addresses import Tcp
from pivgate.gate.ports import holders
from pivgate.gate.upstreams import mutual_tls
from pivgate.settings import Home

# Less than `firewall check` gives: doctor is to end within two seconds, so a lost packet is no answer.
_SECONDS: Final = 1.0
_SOON: Final = timedelta(days=30)


@dataclass(frozen=True)
class UpstreamsFacts:
    """The upstreams of the gated sites.

    Attributes:
        known: Whether the Caddyfile could be read, so that they are known.
        ways: Every way to them that was tried, or on which something listens.
        asked: Those of them on which others might reach an upstream by mutual TLS, once it was asked whom it
            lets in.
        dead_sockets: Unix sockets at which nobody listens, and why.
        programs: Name of the program that listens on a port of this machine, as far as it can be seen.
        guard: What the firewall of this machine closes.
        applied: Whether rules of ours are kept for the next boot.
        endings: Certificates of upstreams by mutual TLS that end within a month, or were not handed out; or
            why that cannot be told.
        trouble: Why something could not be tried; empty if nothing.
    """

    known: bool
    ways: tuple[Way, ...]
    asked: tuple[Way, ...]
    dead_sockets: tuple[tuple[str, str], ...]
    programs: dict[int, str]
    guard: Guard
    applied: bool
    endings: tuple[Ending, ...] | Trouble
    trouble: str = ""


def gather_upstreams(place: Place, sites: SitesFacts) -> UpstreamsFacts:
    """Try to connect to each upstream by each of its addresses.

    Nothing is sent, but to those that are to let in the gate's certificate alone, where others might call.
    """
    applied = (place.root / FirewallPlaces().rules.relative_to("/")).exists()
    ends = _endings(place)
    if not isinstance(sites.config, Config):
        return UpstreamsFacts(False, (), (), (), {}, Guard(known=False), applied, ends)
    dials = sites.config.dials
    targets = within(lambda: sort_targets(dials))
    if targets is None:
        return UpstreamsFacts(True, (), (), (), {}, Guard(known=False), applied, ends, NO_NAME_SERVER)
    try:
        guard = known_guard() if applied else Guard(known=True)
        ways = tuple(try_ways(targets, from_gate=True, seconds=_SECONDS))
    except PivgateError as error:
        return UpstreamsFacts(True, (), (), (), {}, Guard(known=False), applied, ends, error.message)
    dead = [(each.path, why) for each in targets.sockets if (why := _dead(Path(each.path)))]
    ports = [Tcp("", found.upstream.port) for found in targets.found]
    programs = {holder.port: holder.name for holder in holders(ports)}
    asked = _asked(place.home, sites.config, ways)
    return UpstreamsFacts(True, ways, asked, tuple(dead), programs, guard, applied, ends)


def _asked(home: Home, config: Config, ways: tuple[Way, ...]) -> tuple[Way, ...]:
    holder = (home.probes / "revoked.pem", home.probes / "revoked.key")
    demands = {
        dial: Demand(shown.server_name, (shown.certificate, shown.key), holder)
        for dial, shown in mutual_tls(config.json, home.authority_certificate, home.access).items()
    }
    exposed = [way for way in ways if way.outcome.is_open]
    try:
        proved = prove(exposed, demands, _SECONDS)
    except StorageError:
        # Damaged files are named by themselves; not everybody may read them.
        return ()
    return tuple(new for old, new in zip(exposed, proved, strict=True) if new is not old)


def _endings(place: Place) -> tuple[Ending, ...] | Trouble:
    try:
        text = read_file(place.home.caddyfile).decode(errors="replace")
        return endings(place.home, text, place.now + _SOON)
    except PivgateError as error:
        return Trouble.of(error)


def _dead(path: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(str(path))
        except OSError as error:
            return error.strerror or str(error)
    return ""
