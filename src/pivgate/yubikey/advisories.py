# SPDX-License-Identifier: Apache-2.0
"""Published flaws of YubiKey firmware that matter to a key in slot 9a, as data."""

from dataclasses import dataclass

Firmware = tuple[int, int, int]


@dataclass(frozen=True)
class Advisory:
    """One flaw, and the keys it touches.

    Attributes:
        identifier: Yubico's name for it.
        url: Where Yubico describes it.
        first: First firmware that has it.
        fixed: First firmware that no longer has it.
        families: Kinds of key it touches: ``rsa``, ``ecdsa``.
        forbids: Whether such a key must not be made at all, since it would be broken from the start.
        text: What a user has to know, in plain words.
    """

    identifier: str
    url: str
    first: Firmware
    fixed: Firmware
    families: frozenset[str]
    forbids: bool
    text: str


ADVISORIES = (
    Advisory(
        identifier="YSA-2017-01",
        url="https://www.yubico.com/support/security-advisories/ysa-2017-01/",
        first=(4, 2, 0),
        fixed=(4, 3, 5),
        families=frozenset({"rsa"}),
        forbids=True,
        text="RSA keys made by this firmware can be computed from their public half (ROCA, CVE-2017-15361).",
    ),
    Advisory(
        identifier="YSA-2024-03",
        url="https://www.yubico.com/support/security-advisories/ysa-2024-03/",
        first=(4, 0, 0),
        fixed=(5, 7, 0),
        families=frozenset({"ecdsa"}),
        forbids=False,
        text=(
            "With firmware below 5.7.0, whoever has the YubiKey, its PIN and a laboratory can read ECDSA "
            "keys out of it (EUCLEAK). Firmware cannot be updated: report a lost key at once with "
            "`pivgate key lost`, and give keys with firmware 5.7 to those whom this threatens."
        ),
    ),
)


def advisories(firmware: Firmware, family: str) -> tuple[Advisory, ...]:
    """Return the flaws that touch a new key of this family on this firmware."""
    return tuple(
        advisory
        for advisory in ADVISORIES
        if advisory.first <= firmware < advisory.fixed and family in advisory.families
    )
