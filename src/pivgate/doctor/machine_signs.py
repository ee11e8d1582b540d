# SPDX-License-Identifier: Apache-2.0
"""Examination of the machine's clock. Pure."""

from collections.abc import Iterator

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Unseen
from pivgate.doctor.machine_facts import MachineFacts


def synchronised(facts: MachineFacts) -> Iterator[Finding | Unseen]:
    """Is the clock kept right?"""
    if facts.synchronised:
        return
    if facts.synchronised is None or not facts.service:
        # A guest or a container has its host's clock, which nothing in here can tell about.
        yield Unseen(
            "whether the clock is kept right",
            "no time service is installed here; in a guest or a container, the host keeps the clock",
        )
        return
    yield found(
        "clock-not-synchronised",
        "clock",
        f"{facts.service} is installed, and the kernel says that the clock is not synchronised",
        "`timedatectl timesync-status` or `chronyc tracking` says why; `sudo timedatectl set-ntp true` "
        "switches "
        "it on.",
    )
