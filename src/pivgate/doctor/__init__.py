# SPDX-License-Identifier: Apache-2.0
"""What is wrong, why, and what to do: looks at a home and its machine, and changes nothing."""
