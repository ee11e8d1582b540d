# SPDX-License-Identifier: Apache-2.0
"""The demo's chapter for eyes: alice opens the site in a real Firefox."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from pivgate.cli.demo_firefox import has_display, headless, plugged_in, set_up_profile, show_window
from pivgate.cli.demo_people import PIN, Person
from pivgate.cli.demo_story import Story


def tell_browser(
    story: Story,
    alice: Person,
    url: str,
    authority: Path,
    pictures: Path,
    lose: Callable[[], str],
    find: Callable[[], str],
) -> None:
    """Let alice log in with Firefox: in a window, or without one and with pictures.

    Args:
        story: What is told.
        alice: Her key is provisioned and in force.
        url: The site.
        authority: What signed the site's own certificate, PEM.
        pictures: Folder for pictures, where there is no display.
        lose: Reports her key as lost.
        find: Takes that back.
    """
    story.chapter("A real Firefox; alice's YubiKey stands behind PC/SC and OpenSC")
    with tempfile.TemporaryDirectory(prefix="pivgate-") as folder:
        place = Path(folder)
        with plugged_in(alice.device.yubikey, place) as environment:
            profile = place / "profile"
            story.line(
                "pivgate browser setup, for a new profile",
                "ready",
                lambda: set_up_profile(profile, place / "state", authority, environment),
            )
            if has_display():
                click.echo(f"\n  A window opens. The PIN is {PIN}. Close the window to end the demo.\n")
                story.line(f"Firefox at {url}", "closed", lambda: show_window(profile, url, environment))
                return
            pictures.mkdir(parents=True, exist_ok=True)
            with headless(profile, environment, pictures.resolve(), PIN) as firefox:
                story.line(
                    "Firefox asks for the PIN, once",
                    "Hello, alice.",
                    lambda: firefox.visit(url, "opened.png"),
                )
                story.line("alice's key is lost: pivgate key lost", "the gate refuses", lose)
                story.line(
                    "the same page again, same connection",
                    "This site did not open",
                    lambda: firefox.visit(f"{url}again", "refused.png"),
                )
                story.line("found again: pivgate key found", "active", find)
    for name in ("pin-prompt.png", "opened.png", "refused.png"):
        click.echo(f"      picture: {pictures / name}")
