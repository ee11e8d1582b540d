# SPDX-License-Identifier: Apache-2.0
"""``small_disks.py FOLDER``: put the home in a folder on file systems without room; print what doctor says.

Run in a mount namespace of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pivgate.doctor.diagnosis import diagnose
from pivgate.doctor.finding import Area
from pivgate.doctor.place import this_place
from pivgate.settings import Home


def fill(folder: Path) -> None:
    """Make files until there is room for no more than a few."""
    number = 0
    while os.statvfs(folder).f_favail > 5:
        number += 1
        (folder / str(number)).touch()


folder = Path(sys.argv[1])
disk = folder / "disk"
disk.mkdir()
said = {}
for options in ("size=200m", "size=24m", "size=200m,nr_inodes=200", "size=200m,ro"):
    first = options.removesuffix(",ro")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{first},mode=700", "none", disk], check=True)
    shutil.copytree(folder / "home", disk / "home", symlinks=True)
    (disk / "home").chmod(0o700)
    if "nr_inodes" in options:
        fill(disk)
    if options != first:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    found = diagnose(this_place(Home(disk / "home")), [Area.HOME]).findings
    said[options] = [finding.code for finding in found]
    subprocess.run(["umount", disk], check=True)
sys.stdout.write(json.dumps(said))
