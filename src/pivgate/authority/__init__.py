# SPDX-License-Identifier: Apache-2.0
"""The certificate authority: what it signs, with which key, and what it refuses to sign."""
