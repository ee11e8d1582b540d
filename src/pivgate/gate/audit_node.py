# SPDX-License-Identifier: Apache-2.0
"""Caddy's JSON, read with a path in hand, so that a finding can say where."""

from dataclasses import dataclass
from typing import Any

from pivgate.errors import GateError


@dataclass(frozen=True)
class Node:
    """A value in the configuration and its JSON path; an absent value is ``None``."""

    value: Any
    path: str = ""

    def __getitem__(self, key: str) -> "Node":
        """Return a member of an object; absent where the object or the member is."""
        path = f"{self.path}.{key}" if self.path else key
        return Node(self.members().get(key), path)

    def members(self) -> dict[str, Any]:
        """Return an object's members; none when it is absent."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self._misshapen("an object")
        return self.value

    def children(self) -> "list[Node]":
        """Return an object's members as nodes."""
        return [self[key] for key in self.members()]

    def items(self) -> "list[Node]":
        """Return a list's entries; none when it is absent."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self._misshapen("a list")
        return [Node(entry, f"{self.path}[{index}]") for index, entry in enumerate(self.value)]

    def text(self) -> str:
        """Return a text; empty when it is absent."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self._misshapen("a text")
        return self.value

    def texts(self) -> list[str]:
        """Return a list of texts; none when it is absent."""
        if isinstance(self.value, list) and all(isinstance(entry, str) for entry in self.value):
            return self.value
        return [entry.text() for entry in self.items()]

    def members_named(self, key: str) -> "list[Node]":
        """Return every object within this value that is somewhere the member of that name."""
        found: list[Node] = []
        _collect(self.value, self.path, key, found)
        return found

    def _misshapen(self, wanted: str) -> GateError:
        return GateError(
            f"The configuration has {type(self.value).__name__} at {self.path}, where Caddy has {wanted}",
            "Adapt the Caddyfile with the Caddy that runs the gate; nothing was loaded.",
        )


def _collect(value: Any, path: str, key: str, found: list[Node]) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            if name == key and isinstance(member, dict):
                found.append(Node(member, f"{path}.{name}"))
            if isinstance(member, (dict, list)):
                _collect(member, f"{path}.{name}", key, found)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _collect(entry, f"{path}[{index}]", key, found)
