# SPDX-License-Identifier: Apache-2.0
"""Chromium's policy that chooses a certificate, ``AutoSelectCertificateForUrls``, merged with what is there.

The browser reads every file of a folder ``managed``; of a policy that several name it takes the value of the
file whose name sorts last, and does not join lists (Chromium, ``components/policy/core/common/
config_dir_policy_loader.cc``). So what we add goes into the list that is in force, wherever that is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.browser import json_policy
from pivgate.browser.change import Files
from pivgate.browser.one_file import OneFile
from pivgate.errors import InputError

KIND = "chromium-policy"
POLICY = "AutoSelectCertificateForUrls"
OWN_FILE = "pivgate.json"


def entry(site: str, issuer: str) -> str:
    """Return one entry of the list: at this site, a certificate that this authority issued.

    Args:
        site: Host name, with a port or without; ``*.`` in front for all below it.
        issuer: The common name of the authority that issued the certificate.
    """
    host = f"[*.]{site.removeprefix('*.')}" if site.startswith("*.") else site
    return json.dumps(
        {"pattern": f"https://{host}", "filter": {"ISSUER": {"CN": issuer}}},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def file_in_force(files: Mapping[str, bytes]) -> str:
    """Return the name of the file whose list counts; our own where no file has one.

    Args:
        files: The files of a folder ``managed``, by name.

    Raises:
        InputError: A file that may hold the list is no plain JSON.
    """
    for name in sorted(files, reverse=True):
        if POLICY.encode() in files[name] and POLICY in json_policy.parse(files[name], name):
            return name
    return OWN_FILE


@dataclass(frozen=True)
class ChromiumPolicy(OneFile):
    """One policy file.

    Attributes:
        place: The file.
    """

    place: Path
    kind: str = KIND

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entries that are not in the list yet."""
        there = self._list(self._policy(files))
        lacking = [each for each in wanted.get("entries", []) if each not in there]
        return {"entries": lacking} if lacking else {}

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:
        """Return the file with entries at the end of its list."""
        policy = self._policy(files)
        listed = [*self._list(policy), *wanted.get("entries", [])]
        return {self.place: json_policy.written({**policy, POLICY: listed}, files[self.place])}

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        """Return the file without our entries; our own file goes when nothing is left in it."""
        text = files[self.place]
        if text is None:
            return {self.place: None}
        policy = self._policy(files)
        ours = set(own.get("entries", []))
        left = [each for each in self._list(policy) if not (isinstance(each, str) and each in ours)]
        if len(left) == len(self._list(policy)):
            return {self.place: text}
        # In somebody's file an empty list stays: without it, one in an earlier file would come into force.
        ours_alone = not left and self.place.name == OWN_FILE
        rest = {k: v for k, v in policy.items() if k != POLICY} if ours_alone else {**policy, POLICY: left}
        return {self.place: json_policy.written(rest, text) if rest else None}

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return both lists' entries, each once."""
        return {"entries": list(dict.fromkeys([*first.get("entries", []), *second.get("entries", [])]))}

    def _policy(self, files: Files) -> json_policy.Policy:
        text = files[self.place]
        return {} if text is None else json_policy.parse(text, str(self.place))

    def _list(self, policy: json_policy.Policy) -> list[Any]:
        value = policy.get(POLICY, [])
        if not isinstance(value, list):
            raise InputError(
                f"{self.place}: {POLICY} is not a list, so the browser does not heed it",
                "Mend the file and run the command again.",
            )
        return value
