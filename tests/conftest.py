# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

import signal

from hypothesis import settings

# What a shell starts in the background ignores Ctrl-C, and all that it starts does, too; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test fails because the machine was slow at that moment.
settings.register_profile("pivgate", deadline=None)
settings.load_profile("pivgate")
