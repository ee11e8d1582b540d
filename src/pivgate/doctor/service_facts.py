# SPDX-License-Identifier: Apache-2.0
"""The service of systemd that keeps the gate, where there is one."""

from dataclasses import dataclass
from pathlib import Path

from pivgate.doctor.finding import Trouble
from pivgate.doctor.place import Place
from pivgate.errors import PivgateError
from pivgate.systemd.install import is_begun, is_of
from pivgate.systemd.places import Places


@dataclass(frozen=True)
class ServiceFacts:
    """The service.

    Attributes:
        installed: Whether a service keeps this home, or why that cannot be told.
        missing: Files and links of it that are not there.
    """

    installed: bool | Trouble
    missing: tuple[Path, ...]


def gather_service(place: Place) -> ServiceFacts:
    """Look at the units; systemd is not asked."""
    places = Places(place.root)
    try:
        installed = is_begun(places) and is_of(place.home, places)
    except PivgateError as error:
        return ServiceFacts(Trouble.of(error), ())
    parts = (places.service, places.care, places.timer, *places.links)
    missing = tuple(path for path in parts if not (path.exists() or path.is_symlink()))
    return ServiceFacts(installed, missing if installed else ())
