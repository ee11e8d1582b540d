# SPDX-License-Identifier: Apache-2.0
"""Logs in to a site with the key in this machine: once to look, or for programs that cannot do it."""
