# SPDX-License-Identifier: Apache-2.0
"""How keys and people come to have access, and lose it: authority, registry, key and gate put together."""
