# SPDX-License-Identifier: Apache-2.0
"""Firefox's policies for every profile on a machine: module and authorities, merged with what is there.

One file counts: ``/etc/firefox/policies/policies.json`` if it exists, else the one in the folder
``distribution`` of the installation (Mozilla, ``toolkit/components/enterprisepolicies/
EnterprisePoliciesParent.sys.mjs``). So a first file in ``/etc`` begins as a copy of the other: it hides it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pivgate.browser import json_policy
from pivgate.browser.change import Files
from pivgate.browser.one_file import OneFile
from pivgate.errors import InputError

KIND = "firefox-policy"
FILE = "etc/firefox/policies/policies.json"
DISTRIBUTIONS = (
    "usr/lib/firefox/distribution/policies.json",
    "usr/lib64/firefox/distribution/policies.json",
    "usr/lib/firefox-esr/distribution/policies.json",
    "usr/share/firefox-esr/distribution/policies.json",
    "opt/firefox/distribution/policies.json",
)


@dataclass(frozen=True)
class FirefoxPolicy(OneFile):
    """The policy file.

    Attributes:
        place: The file.
        hidden: The file that counts while there is none at ``place``; None if there is none either.
    """

    place: Path
    hidden: Path | None = None
    kind: str = KIND

    def missing(self, files: Files, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the modules and certificates that are not in the file yet."""
        devices, certificates = self._sections(self._policy(files))
        added = _added(devices)
        modules = {
            name: path for name, path in wanted.get("modules", {}).items() if path not in added.values()
        }
        installed = certificates.get("Install", [])
        authorities = [path for path in wanted.get("authorities", []) if path not in installed]
        found: dict[str, Any] = {"modules": modules} if modules else {}
        return {**found, "authorities": authorities} if authorities else found

    def add(self, files: Files, wanted: Mapping[str, Any]) -> Files:
        """Return the file with modules and certificates added."""
        document = self._document(files)
        policy = dict(document.get("policies", {}))
        devices, certificates = self._sections(policy)
        if modules := wanted.get("modules"):
            policy["SecurityDevices"] = (
                {**devices, **modules}
                if _is_old_form(devices)
                else {**devices, "Add": {**devices.get("Add", {}), **modules}}
            )
        if authorities := wanted.get("authorities"):
            policy["Certificates"] = {
                **certificates,
                "Install": [*certificates.get("Install", []), *authorities],
            }
        return {self.place: json_policy.written({**document, "policies": policy}, files[self.place])}

    def remove(self, files: Files, own: Mapping[str, Any]) -> Files:
        """Return the file without what is ours; without it when nothing is left."""
        text = files[self.place]
        if text is None:
            return {self.place: None}
        document = self._document(files)
        policy = dict(document.get("policies", {}))
        devices, certificates = self._sections(policy)
        modules = own.get("modules", {})
        if _is_old_form(devices):
            policy["SecurityDevices"] = _without(devices, modules)
        elif "Add" in devices:
            policy["SecurityDevices"] = _filled({**devices, "Add": _without(devices["Add"], modules)})
        if "Install" in certificates:
            left = [path for path in certificates["Install"] if path not in own.get("authorities", [])]
            policy["Certificates"] = _filled({**certificates, "Install": left})
        rest = _filled({**document, "policies": _filled(policy)})
        return {self.place: json_policy.written(rest, text) if rest else None}

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return both."""
        return {
            "modules": {**first.get("modules", {}), **second.get("modules", {})},
            "authorities": list(
                dict.fromkeys([*first.get("authorities", []), *second.get("authorities", [])])
            ),
        }

    def listed(self, text: bytes) -> tuple[list[str], list[str]]:
        """Return the paths of the modules and of the certificates in the file.

        Args:
            text: What the file says.
        """
        devices, certificates = self._sections(self._policy({self.place: text}))
        return list(map(str, _added(devices).values())), list(map(str, certificates.get("Install", [])))

    def _document(self, files: Files) -> json_policy.Policy:
        text = files[self.place]
        if text is None and self.hidden is not None:
            return json_policy.parse(self.hidden.read_bytes(), str(self.hidden))
        return {} if text is None else json_policy.parse(text, str(self.place))

    def _policy(self, files: Files) -> json_policy.Policy:
        policy = self._document(files).get("policies", {})
        if not isinstance(policy, dict):
            raise InputError(f'{self.place}: "policies" is not an object', "Mend the file.")
        return policy

    def _sections(self, policy: json_policy.Policy) -> tuple[dict[str, Any], dict[str, Any]]:
        found = [policy.get(name, {}) for name in ("SecurityDevices", "Certificates")]
        sound = all(isinstance(each, dict) for each in found)
        if not sound or not isinstance(found[0].get("Add", {}), dict):
            raise InputError(
                f"{self.place}: SecurityDevices or Certificates is no object, so Firefox does not heed it",
                "Mend the file and run the command again.",
            )
        if not isinstance(found[1].get("Install", []), list):
            raise InputError(f"{self.place}: Certificates.Install is not a list", "Mend the file.")
        return found[0], found[1]


def _is_old_form(devices: Mapping[str, Any]) -> bool:
    """Say whether modules stand there without ``Add``, which Firefox before 114 wanted and all understand."""
    return bool(devices) and not {"Add", "Delete"} & set(devices)


def _added(devices: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = devices if _is_old_form(devices) else devices.get("Add", {})
    return found


def _without(modules: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: path for name, path in modules.items() if own.get(name) != path}


def _filled(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value not in ({}, [])}
