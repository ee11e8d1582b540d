# SPDX-License-Identifier: Apache-2.0
"""The command line: one module per noun, and one place that prints errors and exits."""
