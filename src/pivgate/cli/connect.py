# SPDX-License-Identifier: Apache-2.0
"""``pivgate connect``: a loopback proxy that logs in with the key for programs that cannot."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import click

from pivgate.cli.key_provision import last_try_option, serial_option
from pivgate.cli.probe import ca_option, connect_to_option, open_key
from pivgate.cli.secrets import PIN
from pivgate.cli.workplace import current_home, now


@click.command(name="connect")
@click.argument("url")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where to listen.  [default: a free one]"
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the token here, readable for you alone, instead of printing it; removed at the end.",
)
@serial_option
@ca_option
@connect_to_option
@last_try_option
@PIN.click_option()
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it is ready.")
def connect(
    url: str,
    port: int,
    token_file: Path | None,
    serial: int | None,
    ca: Path | None,
    connect_to: str | None,
    use_last_try: bool,
    pin_file: Path | None,
    as_json: bool,
) -> None:
    """Let programs on this machine use a site through http://127.0.0.1, logged in with the key here.

    For programs that cannot log in with a key: Python, git, database tools, a phone's simulator. Each request
    needs the token, as a password or in a header. It ends when the key is pulled out, or with Ctrl-C.
    """
    from pivgate.client.findings import begin, explain_alert
    from pivgate.client.loopback import Loopback, new_token
    from pivgate.client.presence import Watch
    from pivgate.client.site import parse_site
    from pivgate.client.trust import load_trust
    from pivgate.client.upstreams import Upstreams
    from pivgate.files import write_atomic
    from pivgate.yubikey.tls_connection import AlertError

    site = parse_site(url, connect_to)
    trust = load_trust(ca, current_home())
    key = open_key(serial, pin_file, use_last_try=use_last_try)
    upstreams = Upstreams(site, key, trust)
    token = new_token()
    proxy = Loopback(port, upstreams, token)
    watch = Watch(key.device, proxy.end)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            try:
                upstreams.prove()
            except AlertError as error:
                raise explain_alert(error, begin(site, key.certificate), now()) from error
            if token_file is not None:
                write_atomic(token_file, f"{token}\n".encode())
            watch.start()
            proxy.start()
            _show(proxy.port, token, token_file, site.origin, as_json=as_json)
            proxy.wait()
    finally:
        watch.end()
        proxy.end()
        if token_file is not None:
            _remove(token_file, token)


def _show(port: int, token: str, token_file: Path | None, origin: str, *, as_json: bool) -> None:
    url = f"http://127.0.0.1:{port}/"
    if as_json:
        ready = {
            "url": url,
            "site": origin,
            "port": port,
            "process": os.getpid(),
            "token": None if token_file else token,
            "token_file": str(token_file) if token_file else None,
        }
        click.echo(json.dumps(ready))
        return
    click.echo(f"{url} is {origin}, logged in with the key. Ctrl-C ends it.")
    if token_file is not None:
        click.echo(
            f"The token is in {token_file}: the password, with any user name, or the value of the header"
        )
        click.echo("Pivgate-Token, or of Authorization: Bearer.")
        return
    with_token = f"http://pivgate:{token}@127.0.0.1:{port}/"
    click.echo(f"Token: {token}  It is not shown again.")
    click.echo()
    click.echo(f'Python   requests.get("{url}", auth=("pivgate", TOKEN))')
    click.echo(f"git      git clone http://pivgate@127.0.0.1:{port}/REPOSITORY   (the token is the password)")
    click.echo(f"curl     curl --user pivgate {url}   (the token is the password)")
    click.echo(f"others   {with_token}")
    click.echo("         or one of the headers Pivgate-Token: TOKEN, Authorization: Bearer TOKEN")


def _remove(token_file: Path, token: str) -> None:
    with suppress(OSError):
        if token_file.read_text().strip() == token:
            token_file.unlink()
