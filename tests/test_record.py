# SPDX-License-Identifier: Apache-2.0
"""The terminal pictures: that a recording shows what a terminal would, and fetches nothing."""

import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RECORD = runpy.run_path(str(ROOT / "scripts" / "record"))


def words(picture: str) -> str:
    return "".join(ElementTree.fromstring(picture).itertext()).replace("\N{NO-BREAK SPACE}", " ")  # noqa: S314


def test_the_command_runs_in_a_terminal_of_that_width() -> None:
    script = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns); sys.exit(3)"
    assert RECORD["run_in_terminal"]([sys.executable, "-c", script], 77) == ("True 77\r\n", 3)


def test_what_was_overwritten_is_gone() -> None:
    assert RECORD["settle"]("a\r\n10%\r100%\r\nend\r\n\r\n") == "a\n100%\nend"


def test_a_picture_shows_text_and_colours() -> None:
    picture = RECORD["draw"]("plain \x1b[32mgreen\x1b[0m <&> {brace}", "title <&> {}", 40)
    assert "plain green <&> {brace}" in words(picture)
    assert "$ title <&> {}" in words(picture)
    assert "fill: #56d364" in picture


def test_the_size_depends_on_columns_and_lines_only() -> None:
    def size(text: str) -> list[str]:
        return re.findall(r'viewBox="([^"]*)"', RECORD["draw"](text, "title", 60))

    assert size("a\nb") == size("another line\n\x1b[1mbold\x1b[0m") != size("a\nb\nc")


def test_a_long_line_is_folded_not_cut() -> None:
    assert words(RECORD["draw"]("Ω" * 100, "title", 60)).count("Ω") == 100


def test_pictures_fetch_nothing() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        text = picture.read_text()
        assert set(re.findall(r"\w+://[^\"')\s]+", text)) - {"http://www.w3.org/2000/svg"} == set()
        assert "<script" not in text
        ElementTree.fromstring(text)  # noqa: S314
