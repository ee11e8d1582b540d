# SPDX-License-Identifier: Apache-2.0
"""The gate: what Caddy is told, how that is proved, and how it is run."""
