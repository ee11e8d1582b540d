# SPDX-License-Identifier: Apache-2.0
"""What sslyze, which knows nothing of us, finds when it looks at the running gate."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.interop.gate.attackers.conftest import Siege
from tests.interop.gate.pki import Client

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

# Its own environment, which scripts/setup makes: it asks for an older cryptography than pivgate does.
PROGRAM = Path(sys.prefix) / "sslyze" / "bin" / "sslyze"
GOLDEN = Path(__file__).parents[3] / "golden" / "gate" / "sslyze.json"
SCANS = (
    *("sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "elliptic_curves", "ems", "fallback"),
    *("heartbleed", "openssl_ccs", "robot", "reneg", "compression", "resum", "early_data"),
)


def scan(siege: Siege, scans: tuple[str, ...], client: Client | None, report: Path) -> subprocess.Popen[str]:
    """Start a scan of a gated site."""
    shown = ("--cert", client.pem, "--key", client.key) if client else ()
    return subprocess.Popen(
        [
            *(PROGRAM, "--mozilla_config", "disable", "--json_out", report, *shown),
            *(f"--{name}" for name in scans),
            f"a.test:{siege.gate.port}{{127.0.0.1}}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def findings(report: Path) -> dict[str, Any]:
    """Return what does not change from one run to the next, and what somebody should look at if it does."""
    (server,) = json.loads(report.read_text())["server_scan_results"]
    assert server["connectivity_status"] == "COMPLETED", server
    found: dict[str, Any] = {}
    for name, scanned in sorted(server["scan_result"].items()):
        if scanned["status"] == "NOT_SCHEDULED":
            continue
        assert scanned["status"] == "COMPLETED", (name, scanned)
        found[name] = _kept(scanned["result"])
    return found


def _kept(result: Any) -> Any:
    if "accepted_cipher_suites" in result:
        return sorted(one["cipher_suite"]["name"] for one in result["accepted_cipher_suites"])
    if "supported_curves" in result:
        return sorted(one["name"] for one in result["supported_curves"])
    return dict(sorted(result.items()))


def test_the_findings_are_the_golden_ones(siege: Siege, tmp_path: Path) -> None:
    reports = [tmp_path / "anybody.json", tmp_path / "holder.json"]
    running = [
        scan(siege, ("tlsv1_2", "tlsv1_3"), None, reports[0]),
        scan(siege, SCANS, siege.alice, reports[1]),
    ]
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    demanded = json.loads(reports[0].read_text())["server_scan_results"][0]["connectivity_result"]
    found = {
        "client certificate": demanded["client_auth_requirement"],
        "without a certificate": findings(reports[0]),
        "as a holder": findings(reports[1]),
    }
    text = json.dumps(found, indent=1) + "\n"
    if os.environ.get("PIVGATE_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
