# SPDX-License-Identifier: Apache-2.0
"""Which upstreams the gate does not reach, or not for long, because of a certificate."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pivgate.enrolment.upstream_pair import read_certificate
from pivgate.gate.upstream_block import UpstreamFolder, folders
from pivgate.settings import Home


@dataclass(frozen=True)
class Ending:
    """What is to be done about an upstream's certificates.

    Attributes:
        upstream: Its site.
        says: What is wrong, in words.
        remedy: What to do.
        not_after: The end that it is about; None when nothing was handed out yet.
    """

    upstream: str
    says: str
    remedy: str
    not_after: datetime | None


def endings(home: Home, caddyfile: str, before: datetime) -> tuple[Ending, ...]:
    """Say which upstreams the gate cannot reach, or not for long: by their certificates' ends.

    Args:
        home: The home.
        caddyfile: The Caddyfile; upstreams that it does not refer to are left out.
        before: Ends until then are told of.

    Raises:
        StorageError: A file of an upstream is missing or damaged.
    """
    found = []
    for folder in folders(home):
        if folder.unsettled.exists() or not folder.is_in(caddyfile):
            continue
        found += list(_endings(folder, before))
    return tuple(found)


def _endings(folder: UpstreamFolder, before: datetime) -> Iterator[Ending]:
    name = folder.address
    write_out = f"`pivgate site upstream-files {name} FOLDER` writes what its machine needs."
    if not folder.handed_out.exists():
        yield Ending(name, f"The upstream of {name} was not given its certificate yet", write_out, None)
    elif (ends := read_certificate(folder.handed_out).not_valid_after_utc) < before:
        says = f"The certificate that the upstream of {name} was given ends {ends:%Y-%m-%d}"
        yield Ending(name, says, f"`pivgate up` renews it; then {write_out}", ends)
    if (ends := read_certificate(folder.gate).not_valid_after_utc) < before:
        says = f"The gate's certificate for the upstream of {name} ends {ends:%Y-%m-%d}"
        yield Ending(name, says, "`pivgate up` renews it.", ends)
