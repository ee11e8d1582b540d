# SPDX-License-Identifier: Apache-2.0
"""Makes Firefox and Chromium use the key: module, authority, choice of the certificate; and back."""
