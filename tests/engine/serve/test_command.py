"""`lexlip-es serve` as people start and end it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engine.serve.conftest import INDEX, Site


def serving(site: Site, engine_url: str, home: Path, *options: str, token: str = "") -> "subprocess.Popen[str]":
    arguments: Sequence[str] = ("serve", "--index", INDEX, "--model", str(site.model), "--url", engine_url, *options)
    env = {**os.environ, "LEXLIP_HOME": str(home), "LEXLIP_SERVE_TOKEN": token}
    return subprocess.Popen([sys.executable, "-m", "lexlip_es.cli", *arguments], stderr=subprocess.PIPE, text=True, env=env)


def test_it_says_where_it_is_and_how_kibana_gets_thumbnails_and_ends_cleanly(site: Site, engine_url: str, tmp_path: Path) -> None:
    with serving(site, engine_url, tmp_path, "--port", "0") as process:
        assert process.stderr is not None
        said = ""
        while "--thumbnail-base" not in said:
            said += process.stderr.readline()
        address = re.search(r"served at (http://127\.0\.0\.1:\d+)/", said)
        base = re.search(r"--thumbnail-base (\S+)", said)
        assert address and base and str(site.folder) in said
        (hit,) = site.ask("/api/search?q=red&k=1", url=address[1]).json()["hits"]
        shown = site.ask(f"/{hit['thumbnail'].rpartition('/')[2]}", url=base[1])
        assert shown.headers["content-type"] == "image/webp"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "" and process.wait() == 0
    assert list((tmp_path / "cache" / "thumbnails").iterdir())


@pytest.mark.parametrize(
    ("options", "token", "code", "sentence"),
    [
        (["--host", "0.0.0.0"], "", 2, "set LEXLIP_SERVE_TOKEN"),
        (["--host", "203.0.113.7"], "a long enough token", 1, "cannot be listened at"),
    ],
)
def test_what_it_refuses_is_told_in_a_sentence(
    site: Site, engine_url: str, tmp_path: Path, options: list[str], token: str, code: int, sentence: str
) -> None:
    with serving(site, engine_url, tmp_path, *options, token=token) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == code and sentence in said and "Traceback" not in said
