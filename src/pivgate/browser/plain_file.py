# SPDX-License-Identifier: Apache-2.0
"""A file of our own as a target: an authority's certificate, where the policy of every profile finds it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.browser.change import Files
from pivgate.browser.one_file import OneFile

KIND = "file"


@dataclass(frozen=True)
class PlainFile(OneFile):
    """A file that is wholly ours.

    Attributes:
        place: The file.
    """

    place: Path
    kind: str = KIND

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is wanted unless the file says it already."""
        return {} if files[self.place] == _data(wanted) else dict(wanted)

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:  # noqa: ARG002
        """Return the file."""
        return {self.place: _data(wanted)}

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        """Return nothing where the file is ours; what somebody else wrote stays."""
        return {self.place: None if files[self.place] == _data(own) else files[self.place]}

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the second."""
        return {**first, **second}


def _data(wanted: Mapping[str, Any]) -> bytes | None:
    text = wanted.get("data")
    return None if text is None else base64.b64decode(text)
