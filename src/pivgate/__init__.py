# SPDX-License-Identifier: Apache-2.0
"""pivgate puts web sites behind hardware keys."""

__version__ = "0.1.0"
