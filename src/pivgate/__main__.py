# SPDX-License-Identifier: Apache-2.0
"""``python -m pivgate`` is the console script ``pivgate``."""

from pivgate.cli.main import main

main()
