# SPDX-License-Identifier: Apache-2.0
"""The way around the gate: nftables rules that close it, and a check that tries to take it."""
