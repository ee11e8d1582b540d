# SPDX-License-Identifier: Apache-2.0
"""Holds the documentation to the program: every command shown, every example and every link still good."""

import re
import runpy
import tomllib
from pathlib import Path

import click
import pytest

from pivgate import __version__
from pivgate import errors as pivgate_errors
from pivgate.cli.main import INTERRUPTED
from pivgate.settings import Home, Settings, parse_settings

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "docs-reference"))
COMMANDS: dict[str, click.Context] = REFERENCE["commands"]()
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
EXAMPLES: list[tuple[Path, list[str]]] = [
    (page, words) for page in REFERENCE["pages"]() for words in REFERENCE["examples"](page)
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- Commands --------------------------------------------------------------------------------------


def test_the_reference_is_what_the_help_says() -> None:
    assert REFERENCE["REFERENCE"].read_text() == REFERENCE["render"](), "run scripts/docs-reference"


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_command_is_shown_at_work(command: str) -> None:
    if not isinstance(COMMANDS[command].command, click.Group):
        assert command in {REFERENCE["called"](words, COMMANDS) for _, words in EXAMPLES}


def faults_of(words: list[str]) -> str:
    """Say what the program itself would not take in a call; empty when it would take it."""
    command = REFERENCE["called"](words, COMMANDS)
    context = COMMANDS.get(command)
    if context is None or isinstance(context.command, click.Group):
        return "" if words[-1] in {"--help", "--version"} else f"there is no command {' '.join(words)!r}"
    arguments = words[len(command.split()) :]
    given = click.Context(context.command, info_name=context.info_name, parent=context.parent)
    try:
        values, rest, _ = context.command.make_parser(given).parse_args(list(arguments))
        for parameter in context.command.get_params(given):
            value = values.get(parameter.name)
            if isinstance(parameter.type, (click.Choice, click.types.IntParamType)) and isinstance(
                value, str
            ):
                parameter.type.convert(value, parameter, given)
            if isinstance(parameter, click.Argument) and parameter.required and not isinstance(value, str):
                return f"{parameter.name} is missing"
    except click.UsageError as error:
        return error.format_message()
    return f"too many words: {rest}" if rest else ""


@pytest.mark.parametrize(
    ("page", "words"), EXAMPLES, ids=lambda value: value.name if isinstance(value, Path) else None
)
def test_every_example_is_one_that_the_program_takes(page: Path, words: list[str]) -> None:
    assert faults_of(words) == "", f"{name(page)}: {' '.join(words)}"


@pytest.mark.parametrize(
    "words",
    [
        ["pivgate", "nothing"],
        ["pivgate", "key", "nothing"],
        ["pivgate", "key"],
        ["pivgate", "key", "lost"],
        ["pivgate", "key", "lost", "alice"],
        ["pivgate", "key", "lost", "1", "2"],
        ["pivgate", "key", "lost", "1", "--nothing"],
        ["pivgate", "init", "--algorithm", "rsa2048"],
    ],
)
def test_an_example_that_would_fail_is_found(words: list[str]) -> None:
    assert faults_of(words)


# --- Links -----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    text = re.sub(r"(?ms)^ *```.*?^ *```|`[^`\n]*`", "", page.read_text())
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b\n[1](gone.md) [2](#a-b) [3](#gone) [4](page.md#gone) [5](https://example.com/)\n")
    assert broken_links(page) == ["gone.md", "#gone", "page.md#gone"]


def test_every_page_of_docs_can_be_found_from_its_front_page() -> None:
    front = ROOT / "docs" / "README.md"
    pages = {page for page in PAGES if page.is_relative_to(front.parent)} - {front}
    assert [
        name(page) for page in pages if str(page.relative_to(front.parent)) not in front.read_text()
    ] == []


# --- Facts -----------------------------------------------------------------------------------------


def test_the_changelog_names_this_version() -> None:
    assert re.search(rf"(?m)^## \[{re.escape(__version__)}\]", (ROOT / "CHANGELOG.md").read_text())


def test_every_exit_code_is_explained() -> None:
    table = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    documented = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", table)}
    classes = [value for value in vars(pivgate_errors).values() if isinstance(value, type)]
    assert documented >= {*(error.exit_code for error in classes), INTERRUPTED}


def test_every_setting_is_explained_with_its_default() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for setting, default in vars(Settings()).items():
        assert f"| `{setting}` | `{default!r}`".replace("''", '""') in page
    (example,) = re.findall(r"(?ms)^```toml\n(.*?)^```", page)
    assert parse_settings(example, "settings.md") == Settings(**tomllib.loads(example))


def test_every_place_of_the_home_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "home.md").read_text()
    home = Home(Path("/home"))
    places = {
        getattr(home, place).relative_to(home.root)
        for place, value in vars(Home).items()
        if isinstance(value, property)
    }
    assert [str(place) for place in places if f"`{place}" not in page and place.parts[0] != "run"] == []


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "concepts" / "dependencies.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[^\w-]", line)[0] for line in project["dependencies"]]
    for list_of_tools in ("build.in", "dev.in"):
        lines = (ROOT / "requirements" / list_of_tools).read_text().splitlines()
        wanted += [re.split(r"[^\w-]", line)[0] for line in lines if line and not line.startswith("#")]
    assert [package for package in wanted if f"`{package}`" not in page] == []
