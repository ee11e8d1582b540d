# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from hypothesis import settings

# No test fails because the machine was slow at that moment.
settings.register_profile("pivgate", deadline=None)
settings.load_profile("pivgate")
