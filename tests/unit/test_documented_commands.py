"""Commands that the documentation shows are commands, with options, that there are."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lexlip_es.cli import app

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = [
    line
    for page in sorted(DOCS.glob("*.md"))
    for line in re.findall(r"^    lexlip-es (.*)$", page.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("line", SHOWN)
def test_a_shown_command_is_one(line: str) -> None:
    told = CliRunner().invoke(app, [*shlex.split(line, comments=True), "--help"])
    assert told.exit_code == 0, told.output
