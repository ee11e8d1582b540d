# SPDX-License-Identifier: Apache-2.0
"""What the audit says of the sites in a Caddyfile, as the real Caddy adapts it."""

from pathlib import Path

import pytest
from tests.interop.gate.adapting import EXPECTED, GOLDEN, adapt

from pivgate.gate.config_audit import audit
from pivgate.gate.sites import GatedSite

pytestmark = pytest.mark.interop


def test_the_sites_are_found_with_their_groups_and_ports(tmp_path: Path) -> None:
    def sites(name: str) -> list[GatedSite]:
        return audit(adapt((GOLDEN.parent / "audit" / "good" / name).read_text(), tmp_path), EXPECTED)

    assert sites("plain.caddy") == [GatedSite("app.example.com", 443, ("admins",), (":443",))]
    assert sites("two-groups.caddy")[0].groups == ("everyone", "admins")
    assert sites("wildcard.caddy") == [GatedSite("*.example.com", 443, ("everyone",), (":443",))]
    assert sites("other-ports.caddy")[0].listen == ("127.0.0.1:8443",)
    assert [site.host for site in sites("two-names.caddy")] == ["app.example.com", "app.example.org"]
