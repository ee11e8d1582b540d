# SPDX-License-Identifier: Apache-2.0
"""Revocation lists as large as they are measured with."""

import os
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding

from bench.place import Holder, Place, now
from pivgate.authority.crl import Revoked, issue_crl

_DAYS = 30


class RevocationList:
    """A list of certificates that nobody has, to which holders are added."""

    def __init__(self, there: Place, size: int) -> None:
        self._there = there
        self._lines = [Revoked(int.from_bytes(os.urandom(16)), now()) for _ in range(size)]
        self._number = 0

    def with_revoked(self, holders: Iterable[Holder] = ()) -> bytes:
        """Sign the list anew, some holders now on it for good; PEM."""
        self._lines += [Revoked(holder.certificate.serial_number, now()) for holder in holders]
        self._number += 1
        signed = issue_crl(self._there.authority, self._lines, number=self._number, now=now(), days=_DAYS)
        return signed.public_bytes(Encoding.PEM)
