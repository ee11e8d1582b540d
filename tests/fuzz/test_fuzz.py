# SPDX-License-Identifier: Apache-2.0
"""A short run of each fuzz target, so that the targets stay alive and shallow faults are found at once."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = 3000


def test_apdus(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            HERE / "fuzz_apdu.py",
            tmp_path / "corpus",
            f"-runs={RUNS}",
            "-seed=1",
            "-max_len=600",
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"Done {RUNS} runs" in run.stderr
    coverage = re.search(rf"#{RUNS}\s+DONE\s+cov: (\d+)", run.stderr)
    assert coverage, run.stderr
    # The seeds alone reach more than this; a target that sends nothing does not.
    assert int(coverage[1]) > 400
