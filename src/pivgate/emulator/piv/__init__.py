# SPDX-License-Identifier: Apache-2.0
"""The PIV application of a YubiKey: SP 800-73-4 part 2, and Yubico's extensions to it.

A command is read (``decode``), checked against what this session has proved (``applet``), and only then
carried out on the stored state (``pins``, ``management_key``, ``key_store``, ``private_use``, ``objects``,
``metadata``).
"""
