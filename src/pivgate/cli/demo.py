# SPDX-License-Identifier: Apache-2.0
"""``pivgate demo``: the whole story on this machine, every request a real one."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pivgate.errors import RefusedError
from pivgate.settings import Home


@click.command()
@click.option(
    "--keep", is_flag=True, help="Leave the home and the gate running, and say how to look at them."
)
@click.option("--browser", is_flag=True, help="Open a real Firefox; without a display, take pictures of it.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("pivgate-demo"),
    show_default=True,
    help="Folder for the pictures of --browser.",
)
def demo(keep: bool, browser: bool, pictures: Path) -> None:
    """Show the whole story here, with emulated YubiKeys: nothing to plug in, nothing left behind.

    A real authority, a real Caddy and real requests; only the YubiKeys are emulated, below Yubico's own
    library. Each line says what was tried, what was expected, what came and how long it took. Exit status 1
    when anything came out otherwise.
    """
    from pivgate.cli.demo_story import Story, tell

    if browser:
        from pivgate.cli.demo_firefox import find_firefox

        find_firefox()
    with _stage(keep) as (home, upstream):
        story = Story()
        tell(story, home, _port_of(upstream), pictures if browser else None)
    if story.surprises:
        raise RefusedError(
            f"{story.surprises} of {story.told} lines came out otherwise than expected",
            "This is a fault in pivgate or on this machine: run it again with --keep and look at the home.",
        )
    click.echo(f"\n{story.told} lines, all as expected.")
    if keep:
        click.echo(
            f"\nStill running. Look at it:\n  pivgate --home {home.root} status\n"
            f"  pivgate --home {home.root} audit log\n  less {home.caddyfile}\n"
            f"End it:\n  pivgate --home {home.root} down && kill {upstream.pid} && rm -r {home.root.parent}"
        )


@contextmanager
def _stage(keep: bool) -> Iterator[tuple[Home, "subprocess.Popen[str]"]]:
    """Provide an empty place for a home and an upstream; take both away again, however the story ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = Path(tempfile.mkdtemp(prefix="pivgate-demo-"))
    home = Home(place / "home")
    upstream = subprocess.Popen(
        [sys.executable, "-m", "pivgate.cli.demo_upstream"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=keep,
        text=True,
    )
    finished = False
    try:
        yield home, upstream
        finished = True
    finally:
        if not (keep and finished):
            _clear(home, place, upstream)


def _port_of(upstream: "subprocess.Popen[str]") -> int:
    if upstream.stdout is None:
        raise RuntimeError("the upstream's output was asked for")
    return int(upstream.stdout.readline())


def _clear(home: Home, place: Path, upstream: "subprocess.Popen[str]") -> None:
    from pivgate.gate.process import stop

    try:
        if home.root.exists():
            stop(home)
    finally:
        upstream.terminate()
        upstream.wait()
        shutil.rmtree(place)
