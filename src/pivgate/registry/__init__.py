# SPDX-License-Identifier: Apache-2.0
"""Who may come in: users, their keys and certificates, groups, and the record of everything that happened.

``store.Registry`` is the way in. This module imports nothing, so that ``states`` and ``records`` stay cheap.
"""
