# SPDX-License-Identifier: Apache-2.0
"""Caddy and its file: missing, too old, a port in use, a line that means nothing."""

import socket

from tests.cli.conftest import Machine, refused


def test_caddy_missing(founded: Machine) -> None:
    refused(founded.run("up", environment={"PIVGATE_CADDY": "/nowhere/caddy"}), 6, "/nowhere/caddy")


def test_caddy_too_old(founded: Machine) -> None:
    old = founded.root / "caddy"
    old.write_text("#!/bin/sh\necho v2.10.0 h1:x\n")
    old.chmod(0o755)
    refused(founded.run("up", environment={"PIVGATE_CADDY": str(old)}), 6, "too old", "2.11.7")


def test_a_port_in_use(founded: Machine) -> None:
    founded.good("site", "add", "app.localhost", "127.0.0.1:9")
    with socket.create_server(("127.0.0.1", founded.https_port)):
        refused(founded.run("up"), 6, str(founded.https_port), "in use")
    assert founded.run("status").status == 6
    founded.good("up")


def test_a_caddyfile_that_does_not_adapt_is_named_with_its_line(founded: Machine) -> None:
    with founded.home.caddyfile.open("a") as file:
        file.write("\nother.localhost {\n\tno_such_directive\n}\n")
    lines = founded.home.caddyfile.read_text().splitlines()
    number = lines.index("\tno_such_directive") + 1
    refused(founded.run("up"), 6, f"Caddyfile:{number}", "no_such_directive")


def test_a_site_that_is_refused_leaves_the_caddyfile_as_it_was(founded: Machine) -> None:
    with founded.home.caddyfile.open("a") as file:
        file.write("\nother.localhost {\n\tno_such_directive\n}\n")
    before = founded.home.caddyfile.read_bytes()
    refused(founded.run("site", "add", "app.localhost", "127.0.0.1:9"), 6, "no_such_directive")
    assert founded.home.caddyfile.read_bytes() == before
