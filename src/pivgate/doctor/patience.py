# SPDX-License-Identifier: Apache-2.0
"""Names are looked up in a thread that nobody waits for too long: a name server may never answer."""

import queue
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

SECONDS: Final = 1.5
"""How long a lookup may take. Without an answer, the system's own goes on for ten seconds and more."""

NO_NAME_SERVER: Final = "no name server has answered in time; `resolvectl status` shows which are asked"


def within(look_up: Callable[[], T], seconds: float = SECONDS) -> T | None:
    """Return what a lookup gives; None when it has not ended in time.

    The thread goes on by itself, and does not keep the program from ending, as one of a pool would.

    Args:
        look_up: What to do; it raises nothing.
        seconds: How long it may take.
    """
    answers: queue.Queue[T] = queue.Queue()
    threading.Thread(target=lambda: answers.put(look_up()), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return None
