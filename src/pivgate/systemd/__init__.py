# SPDX-License-Identifier: Apache-2.0
"""A service of systemd that keeps the gate: starts it at boot, and again when it has ended."""
