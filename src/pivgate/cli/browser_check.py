# SPDX-License-Identifier: Apache-2.0
"""``pivgate browser check``: from the card reader to the handshake, one line each, and one remedy each."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pivgate.cli.browser_card import check_certificate, check_key, check_reader
from pivgate.cli.browser_line import Line
from pivgate.cli.browser_setup import authority_option, here, module_option
from pivgate.cli.output import busy, json_option, print_json, print_rows, show
from pivgate.cli.probe import connect_to_option
from pivgate.cli.secrets import PIN
from pivgate.errors import PivgateError

if TYPE_CHECKING:
    from cryptography import x509

    from pivgate.browser.module_list import Module

_MARKS = {True: "good", False: "bad", None: "not tried"}


@dataclass(frozen=True)
class _Wishes:
    """What the command line asked for."""

    module: Path | None
    authorities: tuple[Path, ...]
    url: str | None
    connect_to: str | None
    pin_file: Path | None


@click.command()
@click.option("--url", help="Log in there with the key, which takes its PIN.")
@connect_to_option
@module_option
@authority_option
@PIN.click_option()
@json_option
def check(
    url: str | None,
    connect_to: str | None,
    module_path: Path | None,
    authority_files: tuple[Path, ...],
    pin_file: Path | None,
    as_json: bool,
) -> None:
    """See whether key, module and browsers are ready.

    --authority also takes the authority that issued the key's certificate, to have that judged on a machine
    without a home. Exit status 0 only if all that was tried is good.
    """
    wishes = _Wishes(module_path, authority_files, url, connect_to, pin_file)
    lines = busy("Checking…", lambda: _local_lines(wishes))
    lines.append(_handshake(wishes, lines))
    _show(lines, as_json=as_json)
    if any(line.good is False for line in lines):
        click.get_current_context().exit(1)


def _local_lines(wishes: _Wishes) -> list[Line]:
    from pivgate.browser.elsewhere import advice

    service, reader = check_reader()
    lines = [service, reader]
    certificate: x509.Certificate | None = None
    if reader.good:
        key, certificate = check_key()
        lines.append(key)
    if certificate is not None:
        lines.append(check_certificate(certificate, wishes.authorities))
    if advice(sys.platform):
        return [*lines, Line("browsers", None, "`pivgate browser setup` says what each needs here")]
    module, line = _module(wishes.module, certificate, card=bool(reader.good))
    issuer = certificate.issuer if certificate is not None else None
    return [*lines, line, *_browsers(module, wishes.authorities, issuer)]


def _module(
    named: Path | None, certificate: "x509.Certificate | None", *, card: bool
) -> "tuple[Module | None, Line]":
    from cryptography.hazmat.primitives.serialization import Encoding

    from pivgate.browser.ask_module import ask_module
    from pivgate.browser.module import named_module, need_module

    module = None
    try:
        module = named_module(named) if named else need_module(here())
        offer = ask_module(module.library, os.environ)
    except PivgateError as error:
        return module, Line.bad("PKCS#11 module", error)
    what = f"{offer.description}, {module.library}"
    if not card:
        return module, Line("PKCS#11 module", True, f"{what}: loads; there is no card for it to show")
    if certificate is None:
        return module, Line("PKCS#11 module", True, f"{what}: sees {len(offer.tokens)} of the cards")
    shown = {each for token in offer.tokens for each in token.certificates}
    if certificate.public_bytes(Encoding.DER) not in shown:
        return module, Line(
            "PKCS#11 module",
            False,
            f"{what}: does not show the certificate",
            "Pull the key out and put it back; if that does not help, close programs that use the key.",
        )
    return module, Line("PKCS#11 module", True, f"{what}: shows the certificate")


def _browsers(
    module: "Module | None", authority_files: tuple[Path, ...], issuer: "x509.Name | None"
) -> list[Line]:
    from pivgate.browser import holder
    from pivgate.browser.found import Family
    from pivgate.cli.browser_authority import site_authorities

    where = here()
    stores = holder.stores(where, frozenset(Family))
    if not stores and not holder.without_profile(where):
        return [Line("browsers", False, "none was found", "Install Firefox or Chromium, and start it once.")]
    if module is None:
        return [Line("browsers", None, "there is no module to look for")]
    try:
        authorities = site_authorities(authority_files, but=issuer)
        lines = [_browser(store, module, authorities) for store in stores]
    except PivgateError as error:
        return [Line.bad("browsers", error)]
    unused = holder.without_profile(where)
    return lines + [Line(name, False, "has no profile yet", "Start it once and close it.") for name in unused]


def _browser(store: Any, module: "Module", authorities: Any) -> Line:
    from pivgate.browser import holder
    from pivgate.browser.sandbox import reach
    from pivgate.browser.state import held

    name = f"{holder.NAMES[store.family]}, {holder.name_of(store)}"
    reached = reach(here(), store, module)
    if reached.module is None:
        return Line(name, False, reached.cause, reached.remedy)
    has = held(here(), store, reached.module, authorities)
    lacks = [*([] if has.module else ["the module"]), *has.authorities]
    if lacks:
        return Line(name, False, f"lacks {', '.join(lacks)}", "Run `pivgate browser setup`.")
    if reached.cause:
        return Line(name, False, reached.cause, reached.remedy)
    return Line(name, True, "has the module" + (" and the authority" if authorities else ""))


def _handshake(wishes: _Wishes, lines: list[Line]) -> Line:
    if wishes.url is None:
        return Line("handshake", None, "name a site with --url to have it tried")
    if any(line.good is False for line in lines if line.what in ("PC/SC service", "card reader", "key")):
        return Line("handshake", None, "there is no key to try it with")
    return _log_in(wishes.url, wishes)


def _log_in(url: str, wishes: _Wishes) -> Line:
    from pivgate.cli.probe import open_key
    from pivgate.cli.workplace import current_home, now
    from pivgate.client.findings import begin
    from pivgate.client.probe import probe
    from pivgate.client.site import parse_site
    from pivgate.client.trust import load_trust

    try:
        site = parse_site(url, wishes.connect_to)
        key = open_key(None, wishes.pin_file, use_last_try=False)
        trust = _trust(wishes.authorities, key.certificate.issuer) or load_trust(None, current_home())
        found = begin(site, key.certificate)
        probe(site, key, trust, found, tls=None, now=now())
    except PivgateError as error:
        return Line.bad("handshake", error)
    return Line("handshake", True, f"{url} let {found.subject} in, with {found.tls}")


def _trust(files: tuple[Path, ...], issuer: "x509.Name") -> "list[x509.Certificate]":
    from pivgate.cli.browser_authority import certificates

    return [each for file in files for each in certificates(file) if each.subject != issuer]


def _show(lines: list[Line], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"what": line.what, "good": line.good, "says": line.says, "remedy": line.remedy}
                for line in lines
            ]
        )
        return
    rows = [{"what": line.what, "state": _MARKS[line.good], "says": line.says} for line in lines]
    print_rows({"state": "state", "what": "what", "says": "says"}, rows, as_json=False, empty="")
    for line in lines:
        if line.remedy:
            click.echo(f"{show(line.what)}: {show(line.remedy)}", err=True)
