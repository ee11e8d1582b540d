# SPDX-License-Identifier: Apache-2.0
"""A holder's place: card readers, keys, and a Firefox profile of their own."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.card_table import CardTable, card_table, new_key
from tests.interop.browsers.firefox import Firefox, firefox, write_preferences
from tests.interop.browsers.stage import Stage, new_serial

from pivgate.emulator.piv.references import Secret
from pivgate.emulator.yubikey import EmulatedYubiKey

_numbers = count(1)


@dataclass(frozen=True)
class Desk:
    """A holder's place.

    Attributes:
        stage: The gate they go to.
        user: The holder, unknown to the registry until ``enrol``.
        keys: What is in the readers, in order.
        table: The readers.
        home: The holder's home folder.
        profile: Their Firefox profile, not set up yet.
        environment: Of the holder's programs.
        pictures: Where pictures are kept.
    """

    stage: Stage
    user: str
    keys: tuple[EmulatedYubiKey, ...]
    table: CardTable
    home: Path
    profile: Path
    environment: dict[str, str]
    pictures: Path

    def enrol(self, algorithm: str = "p384", user: str = "", key: int = 0) -> None:
        """Make a person and provision a key for them, which is in a reader here.

        Args:
            user: Who, by default the holder.
            key: Which key.
        """
        who = user or self.user
        if who not in self.stage.run("user", "list"):
            self.stage.run("user", "add", who)
        self.stage.provision(self.table, who, self.keys[key].serial, algorithm)

    def set_up(self, *, authority: Path | None = None) -> None:
        """Set the profile up with the real command."""
        self.pivgate(
            *("browser", "setup", "--profile", self.profile),
            *("--authority", authority or self.stage.server_authority),
        )

    def undo(self) -> str:
        """Take the set-up back with the real command and return what it says."""
        return self.pivgate("browser", "undo", "--yes")

    def pivgate(self, *arguments: str | Path) -> str:
        """Run pivgate as the holder, who has no home of pivgate's; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "pivgate", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.environment,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def browser(self, **preferences: bool | int | str) -> Iterator[Firefox]:
        """Open Firefox; the readers' log begins anew.

        Args:
            preferences: Settings in about:config, with two underscores for a dot.
        """
        write_preferences(self.profile, **preferences)
        with firefox(self.profile, self.environment, self.pictures) as opened:
            self.table.log.clear()
            yield opened

    def tries_left(self, key: int = 0) -> int:
        """Return how many wrong PINs a key still takes."""
        return self.keys[key].piv.state.secrets[Secret.PIN].left

    def contents(self) -> dict[str, tuple[int, bytes]]:
        """Return every file of the profile, with its mode."""
        return {
            str(path.relative_to(self.profile)): (path.stat().st_mode, path.read_bytes())
            for path in self.profile.rglob("*")
            if path.is_file()
        }


@contextmanager
def desk(
    stage: Stage, pictures: Path, firmware: Sequence[str] = ("5.7.4",), user: str = ""
) -> Iterator[Desk]:
    """Furnish a place; clear it afterwards, whatever happened.

    Args:
        stage: The gate.
        pictures: Where pictures are kept.
        firmware: Of each key; they are fresh from the factory and plugged in.
        user: The holder's name, for a picture; by default one that nobody had before.
    """
    keys = tuple(new_key(each, new_serial()) for each in firmware)
    home = Path(tempfile.mkdtemp(prefix="pgh"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        table = stack.enter_context(card_table(*keys))
        profile = home / "profile"
        profile.mkdir(mode=0o700)
        write_preferences(profile)
        environment = {
            **{name: value for name, value in table.environment.items() if not name.startswith("XDG_")},
            "HOME": str(home),
            "PIVGATE_HOME": str(home / "none"),
            "NO_COLOR": "1",
        }
        name = user or f"holder{next(_numbers)}"
        yield Desk(stage, name, keys, table, home, profile, environment, pictures)
