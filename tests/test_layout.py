# SPDX-License-Identifier: Apache-2.0
"""Holds what no other tool holds: who may import whom, how long a file may be, what it may be called."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pivgate"

# --- Who may import whom ---------------------------------------------------------------------------

BASE = frozenset({"errors", "files", "settings", "names", "systemctl"})
PARTS = frozenset({"authority", "attestation", "registry", "gate", "yubikey"})

# For each part of the package, the parts it may import beside itself. A part that is not here may not
# exist: decide what it may import, then write it down.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "names": frozenset({"errors"}),
    "files": frozenset({"errors"}),
    "settings": frozenset({"errors", "files"}),
    "systemctl": frozenset({"errors", "files"}),
    **dict.fromkeys(PARTS, BASE),
    "browser": BASE,
    "firewall": BASE,
    "client": BASE | {"yubikey"},
    "enrolment": BASE | PARTS,
    "systemd": BASE,
    "doctor": BASE | PARTS | {"browser", "client", "firewall", "enrolment", "systemd"},
    "portal": BASE | PARTS,
    "cli": BASE | PARTS | {"browser", "client", "firewall", "enrolment", "portal", "systemd", "doctor"},
    "emulator": frozenset(),
    "__main__": frozenset({"cli"}),
}

# The only modules of the product that know of the emulator.
MAY_IMPORT_EMULATOR = re.compile(r"pivgate\.cli\.(demo|emulate)\w*(\.|$)")

# Yubico's library and what it stands on. The emulator is tested by them, so it must not be built on them.
YUBICO = frozenset({"yubikit", "ykman", "smartcard"})
EMULATOR_CONNECTION = "pivgate.emulator.connection"

FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "misc"})

# --- How long a file may be ------------------------------------------------------------------------

LONGEST = 400
# Longer files, by their path from the root, each with the reason why it is still one idea.
LONG_FOR_A_REASON: dict[str, str] = {}

# --- What no file may contain ----------------------------------------------------------------------

# Put together here so that this file does not contain them itself.
REGISTRY_HOSTS = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("crates", "io"),
        ("npmjs", "org"),
        ("proxy", "golang", "org"),
        ("maven", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
MACHINE_PATHS = ("/" + "work/", "/" + "opt/wheels", "/" + "root/")

GENERATED = frozenset(
    {
        ".git",
        ".venv",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "dist",
        "build",
    }
)


def project_files() -> Iterator[Path]:
    """Yield every file of the project, also in a tree that git does not know."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED]
        yield from (
            Path(folder, name) for name in files if name != ".git" and not name.startswith(".coverage")
        )


def python_files() -> list[Path]:
    return sorted(path for path in project_files() if path.suffix == ".py")


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """Return every module that a source names: at the top, inside functions, and in lazy-import texts."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(re.findall(r"^(pivgate(?:\.\w+)+)(?::\w+)?$", node.value))
    return found


def part_of(module: str) -> str:
    """Return the part a module belongs to; empty for the package itself, whose names anybody may use."""
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


def exists(part: str) -> bool:
    return part in MAY_IMPORT or (SOURCE / part).is_dir() or (SOURCE / f"{part}.py").is_file()


def import_faults(source: str, module: str, is_package: bool = False) -> list[str]:
    """Say which imports of one module of ``pivgate`` point the wrong way."""
    part = part_of(module)
    faults = []
    for name in sorted(imported_modules(source, module, is_package)):
        top = name.split(".")[0]
        if part == "emulator" and top in YUBICO and module != EMULATOR_CONNECTION:
            faults.append(f"{module} imports {name}: of the emulator only {EMULATOR_CONNECTION} may")
        if top != "pivgate" or (target := part_of(name)) in {"", part} or not exists(target):
            continue
        if target == "emulator":
            if not MAY_IMPORT_EMULATOR.match(module):
                faults.append(f"{module} imports {name}: the product does not know the emulator")
        elif target not in MAY_IMPORT.get(part, frozenset()):
            faults.append(
                f"{module} imports {name}: {part} may import only {sorted(MAY_IMPORT.get(part, ()))}"
            )
    return faults


def test_imports_point_one_way() -> None:
    faults = [
        fault
        for path in python_files()
        if path.is_relative_to(SOURCE)
        for fault in import_faults(path.read_text(), module_name(path), path.name == "__init__.py")
    ]
    assert not faults, "\n".join(faults)


def test_every_part_says_what_it_may_import() -> None:
    parts = {part_of(module_name(path)) for path in python_files() if path.is_relative_to(SOURCE)} - {""}
    assert parts <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pivgate.errors", "import pivgate.files"),
        ("pivgate.files", "from pivgate import settings"),
        ("pivgate.authority.issue", "from pivgate.registry import store"),
        ("pivgate.authority.issue", "def later():\n    from pivgate.registry.store import Registry"),
        ("pivgate.registry.store", "from pivgate.authority.names import Subject"),
        ("pivgate.registry.store", "from ..authority import names"),
        ("pivgate.gate.apply", "import pivgate.registry.store"),
        ("pivgate.yubikey.provision", "import pivgate.enrolment.local"),
        ("pivgate.yubikey.provision", "import pivgate.emulator.connection"),
        ("pivgate.yubikey.provision", 'import_module("pivgate.emulator.connection")'),
        ("pivgate.enrolment.local", "from pivgate.cli import main"),
        ("pivgate.enrolment.local", "from pivgate import emulator"),
        ("pivgate.cli.main", "from pivgate.emulator.yubikey import EmulatedYubiKey"),
        ("pivgate.cli.key", "import pivgate.emulator as e"),
        ("pivgate.emulator.card", "from pivgate.errors import PivgateError"),
        ("pivgate.emulator.card", "from pivgate import errors"),
        ("pivgate.emulator.card", "from yubikit.core import Tlv"),
        ("pivgate.emulator.piv.applet", "import yubikit.piv"),
        ("pivgate.emulator.piv.applet", "from smartcard import util"),
    ],
)
def test_an_import_that_points_the_wrong_way_is_found(module: str, source: str) -> None:
    assert import_faults(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "pivgate.authority.issue",
            "from pivgate.errors import RefusedError\nfrom pivgate.authority import keys",
        ),
        ("pivgate.authority.issue", "from . import keys"),
        ("pivgate.authority.issue", "from pivgate import __version__"),
        (
            "pivgate.enrolment.local",
            "from pivgate.gate import access\nfrom pivgate.registry.store import Registry",
        ),
        ("pivgate.cli.main", "import pivgate.enrolment.local"),
        ("pivgate.cli.demo", "from pivgate.emulator.yubikey import EmulatedYubiKey"),
        ("pivgate.cli.demo_upstream", "import pivgate.emulator.connection"),
        ("pivgate.emulator.connection", "from yubikit.core.smartcard import SmartCardConnection"),
        ("pivgate.emulator.piv.applet", "from pivgate.emulator.apdu import StatusWord"),
        ("pivgate.gate.snippet", 'NAME = "pivgate.caddy"'),
    ],
)
def test_an_import_that_points_the_right_way_passes(module: str, source: str) -> None:
    assert import_faults(source, module) == []


def test_files_are_short_or_say_why_not() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files()}
    long = {name for name, length in lengths.items() if length > LONGEST}
    assert long == set(LONG_FOR_A_REASON), "mend LONG_FOR_A_REASON, or better the files"
    assert all(LONG_FOR_A_REASON.values())


def test_no_module_is_named_for_nothing() -> None:
    named = {path for path in python_files() if {path.stem, *path.relative_to(ROOT).parts} & FORBIDDEN_NAMES}
    assert not named


def test_every_python_file_begins_with_its_licence() -> None:
    line = "# SPDX-License-Identifier: Apache-2.0\n"
    texts = {path: path.read_text() for path in python_files()}
    assert [path for path, text in texts.items() if text and not text.startswith(line)] == []


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    marks = (*REGISTRY_HOSTS, *MACHINE_PATHS, *((str(ROOT),) if len(ROOT.parts) > 2 else ()))
    found = []
    for path in project_files():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {mark}" for mark in marks if mark in text]
    assert not found, "\n".join(found)


def test_locked_requirements_have_hashes() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        entries = re.split(
            r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", path.read_text(), flags=re.MULTILINE).strip()
        )
        assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == [], path


# Start-up time is a promise: the help must not wait for libraries that only commands need.
HEAVY = ("cryptography", "sqlalchemy", "yubikit", "ykman", "rich", "tlslite", "h11")


@pytest.mark.parametrize("arguments", [["--help"], ["key", "--help"], ["--version"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from pivgate.cli.main import main\n"
        f"sys.argv = ['pivgate', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('\\n'.join(n for n in {HEAVY!r} if n in sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout
    assert result.stderr.split() == []
