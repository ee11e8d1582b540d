# SPDX-License-Identifier: Apache-2.0
"""YubiKeys: find them, read them, provision them, sign with them. All of it through Yubico's own yubikit."""
