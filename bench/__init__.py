# SPDX-License-Identifier: Apache-2.0
"""Figures of pivgate beside those of its peers, measured side by side in one run: ``python -m bench``."""
