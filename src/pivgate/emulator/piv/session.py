# SPDX-License-Identifier: Apache-2.0
"""What has been proved, and how long it holds: until the session ends, or for the very next command."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the holder of the management key has been asked, and the only answer to it.

    The kind is part of it: what answers the question in one protocol, the card itself sends in the other.
    """

    kind: Literal["single", "mutual"]
    answer: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """What a command leaves behind for the very next one, and for no other.

    Attributes:
        pin_verified: The PIN was right in this very command, which is what PIN policy "always" wants to see.
        challenge: Authentication with the management key has begun.
    """

    pin_verified: bool = False
    challenge: Challenge | None = None


@dataclass
class Session:
    """What has been proved since the application was selected.

    Attributes:
        pin_verified: The PIN has been verified.
        management_authenticated: Knowledge of the management key has been proved.
        before: What the command before this one left behind.
        after: What this command leaves behind.
    """

    pin_verified: bool = False
    management_authenticated: bool = False
    before: Trace = field(default_factory=Trace)
    after: Trace = field(default_factory=Trace)

    def begin_command(self) -> None:
        """Let the trace of the last command grow old by one."""
        self.before, self.after = self.after, Trace()
