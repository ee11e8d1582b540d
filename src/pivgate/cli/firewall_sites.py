# SPDX-License-Identifier: Apache-2.0
"""Which upstreams ``pivgate firewall`` is about: those of this home's sites, or those that were named."""

import pwd
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pivgate.errors import HomeError, InputError
from pivgate.names import quoted

if TYPE_CHECKING:
    from pivgate.firewall.certificate import Demand
    from pivgate.firewall.plan import Request
    from pivgate.firewall.survey import Targets
    from pivgate.firewall.targets import Network, Ports


def home_targets() -> "Targets":
    """Read the upstreams of this home's gated sites from its Caddyfile, as Caddy understands it.

    Raises:
        HomeError: There is no home.
        GateError: Caddy does not understand the Caddyfile.
    """
    from pivgate.cli.workplace import current_home
    from pivgate.firewall.survey import sort_targets
    from pivgate.gate.caddy import adapt, find_caddy
    from pivgate.gate.upstreams import serving_ports, upstreams
    from pivgate.settings import load_settings

    home = current_home()
    try:
        load_settings(home)
    except HomeError as error:
        error.hint = (
            "On the upstream's own machine, which has no home, name --gate and --port; to check, name the "
            f"upstream: `pivgate firewall check 10.0.0.1:8000`. Else: {error.hint}"
        )
        raise
    config = adapt(find_caddy(), home, home.caddyfile).config
    dials = upstreams(config, home.authority_certificate, home.access)
    return sort_targets(dials, serving_ports(config))


def home_demands() -> "dict[str, Demand]":
    """Return which upstreams of this home's gated sites are to let in the gate's certificate alone.

    Raises:
        HomeError: There is no home.
        GateError: Caddy does not understand the Caddyfile.
    """
    from pivgate.cli.workplace import current_home
    from pivgate.firewall.certificate import Demand
    from pivgate.gate.caddy import adapt, find_caddy
    from pivgate.gate.upstreams import mutual_tls

    home = current_home()
    config = adapt(find_caddy(), home, home.caddyfile).config
    holder = (home.probes / "revoked.pem", home.probes / "revoked.key")
    return {
        dial: Demand(shown.server_name, (shown.certificate, shown.key), holder)
        for dial, shown in mutual_tls(config, home.authority_certificate, home.access).items()
    }


def named_targets(texts: Sequence[str]) -> "Targets":
    """Read upstreams that were named.

    Raises:
        InputError: One cannot be an upstream.
    """
    from pivgate.firewall.survey import sort_targets

    targets = sort_targets(texts)
    if targets.unclear:
        text, reason = targets.unclear[0]
        raise InputError(reason, f"Write {quoted(text)} as in the Caddyfile, such as 10.0.0.1:8000.")
    return targets


def named_request(
    gates: "tuple[Network, ...]", ports: "tuple[Ports, ...]", users: tuple[int, ...]
) -> "Request":
    """Take everything from the command line: no home is needed.

    Raises:
        InputError: No gate is named, so the gate itself would be shut out.
    """
    from pivgate.firewall.plan import Request

    if not gates:
        raise InputError(
            "With --port but no --gate, not even the gate would reach the upstream",
            "Name its address with --gate; --gate 127.0.0.1 when it runs on this machine.",
        )
    return Request(gates=gates, ports=ports, users=users)


def home_request(gates: "tuple[Network, ...]", users: tuple[int, ...]) -> "Request":
    """Take the upstreams from this home's sites.

    Raises:
        HomeError: There is no home.
        InputError: What a site sends its requests to is known to Caddy alone.
    """
    from pivgate.firewall.plan import Request

    targets = home_targets()
    if targets.unclear:
        text, reason = targets.unclear[0]
        raise InputError(
            f"A site's upstream {quoted(text)} cannot be followed: {reason}",
            "Name the ports to close with --port, and --gate 127.0.0.1 for the gate on this machine.",
        )
    return Request(
        gates=gates, users=users, found=targets.found, sockets=targets.sockets, own_ports=targets.own_ports
    )


def user_numbers(names: Sequence[str]) -> tuple[int, ...]:
    """Look up users of this machine.

    Raises:
        InputError: There is no user of that name.
    """
    try:
        return tuple(pwd.getpwnam(name).pw_uid for name in names)
    except (KeyError, ValueError) as error:
        unknown = next(name for name in names if not _is_user(name))
        raise InputError(
            f"There is no user {quoted(unknown)} on this machine", "Name the user who runs Caddy."
        ) from error


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True
