# SPDX-License-Identifier: Apache-2.0
"""A YubiKey in software, at the level of its APDUs.

It exists so that everything above the card can be tested and shown without hardware. It protects nothing: its
private keys are ordinary objects in memory. It knows nothing of the rest of pivgate, and of yubikit only in
``connection``, so that neither side can hide a mistake of the other.
"""
