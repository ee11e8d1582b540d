# SPDX-License-Identifier: Apache-2.0
"""Caddyfiles with and without holes, as an operator would write them, adapted by Caddy and audited."""

from pathlib import Path

import pytest
from tests.interop.gate.adapting import EXPECTED, GOLDEN, adapt

from pivgate.gate.config_audit import AuditError, audit
from pivgate.gate.sites import GatedSite

pytestmark = pytest.mark.interop

GOOD = sorted((GOLDEN / "audit" / "good").glob("*.caddy"))
BAD = sorted((GOLDEN / "audit" / "bad").glob("*.caddy"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_configuration_without_a_hole_passes(path: Path, tmp_path: Path) -> None:
    sites = audit(adapt(path.read_text(), tmp_path), EXPECTED)
    assert sites
    assert all(site.groups for site in sites)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_configuration_with_a_hole_is_refused_for_it(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("# finding: ")
    config = adapt(text, tmp_path)
    with pytest.raises(AuditError) as caught:
        audit(config, EXPECTED)
    assert expected in caught.value.message
    for finding in caught.value.findings:
        assert finding.where
        assert finding.risk
        assert finding.remedy in caught.value.hint


def test_the_sites_are_found_with_their_groups_and_ports(tmp_path: Path) -> None:
    def sites(name: str) -> list[GatedSite]:
        return audit(adapt((GOLDEN / "audit" / "good" / name).read_text(), tmp_path), EXPECTED)

    assert sites("plain.caddy") == [GatedSite("app.example.com", 443, ("admins",), (":443",))]
    assert sites("two-groups.caddy")[0].groups == ("everyone", "admins")
    assert sites("wildcard.caddy") == [GatedSite("*.example.com", 443, ("everyone",), (":443",))]
    assert sites("other-ports.caddy")[0].listen == ("127.0.0.1:8443",)
    assert [site.host for site in sites("two-names.caddy")] == ["app.example.com", "app.example.org"]
