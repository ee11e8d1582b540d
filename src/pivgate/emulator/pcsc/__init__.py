# SPDX-License-Identifier: Apache-2.0
"""Emulated keys behind a PC/SC service: a driver, the readers it opens, a pcscd to open them."""
