"""The commands as a person runs them: whole processes, their output, messages and exit codes."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from lexlip_es.engines import Engine
from tests.made_model import COLOURS, make_model

Cli = Callable[..., CompletedProcess[str]]
ALIAS = "cli-colours"


@pytest.fixture(scope="module")
def environment(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tests' own model and engine; no embedded node may start here."""
    model = make_model(tmp_path_factory.mktemp("cli") / "colours")
    return {
        **os.environ,
        "LEXLIP_ES_URL": engine_url,
        "LEXLIP_ES_MODEL": str(model.path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


@pytest.fixture(scope="module")
def cli(environment: dict[str, str]) -> Cli:
    def run(*arguments: str | Path, **variables: str) -> CompletedProcess[str]:
        command = [sys.executable, "-m", "lexlip_es.cli", *map(str, arguments)]
        return subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for colour in COLOURS:
        Image.new("RGB", (20, 10), colour).save(root / f"{colour}.png")
    return root


@pytest.fixture(scope="module")
def indexed(cli: Cli, folder: Path, engine: Engine) -> Iterator[Path]:
    done = cli("index", "--images", folder, "--index", ALIAS)
    assert done.returncode == 0, done.stderr
    yield folder
    for index in engine.indices("cli-*"):
        engine.delete_index(index)


def one_sentence(run: CompletedProcess[str]) -> str:
    """The message of a refused command: a single line, without a stack trace, and nothing on stdout."""
    assert run.stdout == ""
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith("lexlip-es: ")
    return line


def test_search_prints_ranked_paths_and_the_terms_that_matched(cli: Cli, indexed: Path) -> None:
    run = cli("search", "something green", "--index", ALIAS)
    assert run.returncode == 0
    assert f"{indexed}/green.png" in run.stdout.splitlines()[0]
    assert "green" in run.stdout.splitlines()[1]


def test_search_in_json_keeps_the_contract(cli: Cli, indexed: Path) -> None:
    run = cli("search", "red", "--index", ALIAS, "--json")
    answer = json.loads(run.stdout)
    assert list(answer) == ["query", "index", "model", "took_ms", "total_ms", "hits"]
    assert isinstance(answer["took_ms"], int) and answer["total_ms"] >= answer["took_ms"]
    hit = answer["hits"][0]
    assert {"id", "path", "score", "terms"} <= set(hit)
    assert set(hit["terms"][0]) == {"term", "piece", "query_weight", "picture_weight", "contribution", "brought_by"}
    assert hit["path"] == "red.png"


def test_why_and_explain_show_what_each_typed_word_gave(cli: Cli, indexed: Path, tmp_path: Path) -> None:
    lines = [line.split() for line in cli("search", "red, or green", "--why", "--k", "1", "--index", ALIAS).stdout.splitlines()]
    assert lines[0][0] == "1" and lines[1][0] in ("red", "green") and lines[-1] == ["=", lines[0][1]]
    found = cli("explain", "red", "red.png", "--index", ALIAS)
    assert found.stdout.splitlines()[0].endswith(f"{indexed}/red.png")
    assert found.stdout.splitlines()[1].split()[:2] == ["red", "red"]
    other = tmp_path / "other.png"
    Image.new("RGB", (9, 9), (200, 90, 10)).save(other)
    outside = cli("explain", "red", other, "--index", ALIAS, "--json")
    said = json.loads(outside.stdout)
    assert (said["id"], [reason["word"] for reason in said["reasons"]]) == ("", ["red"])
    assert f"{other} is not in {ALIAS}: it was encoded now" in outside.stderr


def test_pages_to_look_at_are_written_beside_what_is_printed(cli: Cli, indexed: Path, tmp_path: Path) -> None:
    page, home = tmp_path / "page.html", {"LEXLIP_HOME": str(tmp_path / "home")}
    run = cli("search", "red green", "--index", ALIAS, "--html", page, **home)
    scores = [float(hit.split()[1]) for hit in run.stdout.splitlines()[::2]]
    found = page.read_text(encoding="utf-8")
    assert len(scores) == found.count("data:image/webp;base64,UklG") > 1
    assert [float(score) for score in re.findall(r'"score">([0-9.]+)<', found)] == pytest.approx(scores, abs=0.001)
    cli("terms", indexed / "red.png", "--html", page, **home)
    found = page.read_text(encoding="utf-8")
    assert ">red</bdi>" in found and found.count("data:image/webp;base64,UklG") == 1


def test_what_is_cut_off_is_no_empty_answer_and_is_shown_on_demand(cli: Cli, indexed: Path) -> None:
    everything = json.loads(cli("search", "red green blue", "--index", ALIAS, "--no-cut", "--json").stdout)
    assert len(everything["hits"]) == 3 and "cut" not in everything
    hidden = cli("search", "red", "--index", ALIAS, "--min-score", "9")
    assert (hidden.returncode, hidden.stdout, "nothing in" in hidden.stderr) == (0, "", False)


def test_query_prints_a_body_that_the_engine_ranks_by(cli: Cli, indexed: Path, engine: Engine) -> None:
    run = cli("query", "blue")
    assert engine.search(ALIAS, json.loads(run.stdout))["hits"]["hits"][0]["_source"]["path"] == "blue.png"


def test_the_language_is_spoken_by_search_and_query(cli: Cli, indexed: Path, engine: Engine) -> None:
    found = cli("search", "red green blue +green width:20 folder:nowhere", "--index", ALIAS)
    assert (found.returncode, found.stdout) == (0, "")
    listed = cli("search", "--index", ALIAS, "--json", "--", "-green")
    assert [(hit["path"], hit["score"]) for hit in json.loads(listed.stdout)["hits"]] == [("blue.png", 0), ("red.png", 0)]
    body = json.loads(cli("query", "red^2 blue width:20 -tag:x").stdout)
    assert engine.search(ALIAS, body)["hits"]["hits"][0]["_source"]["path"] == "red.png"
    literal = cli("search", "red^2 green", "--literal", "--index", ALIAS, "--json")
    assert {share["query_weight"] for hit in json.loads(literal.stdout)["hits"] for share in hit["terms"]} == {1.0}
    hybrid = json.loads(cli("search", "green", "--hybrid", "--index", ALIAS, "--json").stdout)["hits"][0]
    assert [text["field"] for text in hybrid["texts"]] == ["name"]
    assert "leave it out, or use search" in one_sentence(cli("query", "like:red.png"))


def test_terms_reads_a_picture_and_a_text(cli: Cli, indexed: Path) -> None:
    assert json.loads(cli("terms", indexed / "red.png", "--json").stdout)[0]["term"] == "red"
    assert cli("terms", "a blue car").stdout.split() == ["1.00000", "blue"]


def test_nothing_shared_is_no_hit_and_no_error(cli: Cli, folder: Path, engine: Engine) -> None:
    only_red = ["index", "--images", folder, "--index", "cli-red", "--terms", "1", "--json"]
    report = json.loads(cli(*only_red).stdout)
    assert report["indexed"] == 3 and report["seconds"]["total"] > 0
    engine.delete_index("cli-red-000001")
    (folder / "list.txt").write_text("red.png\n")
    cli("index", "--images", folder, "--index", "cli-red", "--terms", "1", "--files", folder / "list.txt")
    run = cli("search", "green", "--index", "cli-red")
    assert (run.returncode, run.stdout) == (0, "")
    assert "nothing in cli-red" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["search", "", "--index", ALIAS], "empty", 2),
        (["search", "--index", ALIAS], "a sentence, or a picture", 2),
        (["search", "of the", "--index", ALIAS], '"of the"', 2),
        (["search", "red", "--index", "cli-nowhere"], "cli-nowhere", 1),
        (["search", "red", "--index", "cli-*"], "cannot be the name of an index", 2),
        (["search", "of the", "--url", "http://127.0.0.1:9"], '"of the"', 2),
        (["index", "--images", "/nowhere", "--url", "http://127.0.0.1:9"], "/nowhere", 1),
        (["search", "red", "--index", ALIAS, "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9", 1),
        (["search", "red", "--index", ALIAS, "--model", "/nowhere"], "/nowhere", 1),
        (["search", "--image", "/nowhere.jpg", "--index", ALIAS], "/nowhere.jpg", 1),
        (["index", "--index", ALIAS], "--images, or files of texts with --texts", 2),
        (["index", "--images", "/nowhere", "--index", ALIAS], "/nowhere", 1),
        (["export", "--images", "/", "--out", "/tmp/x.json"], ".ndjson", 2),
        (["train", "/nowhere.toml"], "/nowhere.toml", 2),
        (["pack", "/nowhere", "--out", "/nowhere-else"], "/nowhere", 1),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(cli: Cli, indexed: Path, arguments: list[str], said: str, code: int) -> None:
    run = cli(*arguments)
    assert said in one_sentence(run)
    assert run.returncode == code


def test_an_index_of_another_model_is_refused_by_name(cli: Cli, indexed: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", name="other", seed="1")
    for arguments in (["search", "red"], ["index", "--images", indexed]):
        run = cli(*arguments, "--index", ALIAS, "--model", other.path)
        assert "colours (" in one_sentence(run) and "other (" in run.stderr
        assert run.returncode == 1


def test_bad_pictures_are_named_and_end_in_exit_code_3(cli: Cli, folder: Path, tmp_path: Path, engine: Engine) -> None:
    root = tmp_path / "mixed"
    root.mkdir()
    Image.new("RGB", (64, 64), "red").save(root / "good.jpg", quality=95)
    (root / "cut.jpg").write_bytes((root / "good.jpg").read_bytes()[:400])
    (root / "text.jpg").write_text("no picture")
    (root / "huge.png").write_bytes(_png_header(50_000, 50_000))
    run = cli("index", "--images", root, "--index", "cli-mixed", "--json")
    assert run.returncode == 3
    skipped = {entry["path"]: entry["reason"] for entry in json.loads(run.stdout)["skipped"]}
    assert set(skipped) == {"cut.jpg", "text.jpg", "huge.png"}
    assert "2,500 megapixels" in skipped["huge.png"]
    for name in skipped:
        assert f"left out {name}: " in run.stderr


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """400 pictures that take a while to open."""
    Image.effect_noise((1500, 1500), 50).save(tmp_path / "000.png")
    for number in range(1, 400):
        (tmp_path / f"{number:03}.png").hardlink_to(tmp_path / "000.png")
    return tmp_path


def started(environment: dict[str, str], folder: Path, alias: str, engine: Engine) -> "subprocess.Popen[str]":
    """An indexing process that has made its index and is at work."""
    command = [sys.executable, "-m", "lexlip_es.cli", "index", "--images", str(folder), "--index", alias, "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not engine.indices(f"{alias}-000001") and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def test_ctrl_c_ends_in_130_with_a_report(environment: dict[str, str], many: Path, engine: Engine) -> None:
    process = started(environment, many, "cli-stopped", engine)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    report = json.loads(stdout)
    assert report["interrupted"] and report["indexed"] < 400
    assert engine.count("cli-stopped") == report["indexed"]


def test_a_killed_run_started_again_gives_the_whole_index(
    cli: Cli, environment: dict[str, str], many: Path, engine: Engine
) -> None:
    process = started(environment, many, "cli-killed", engine)
    process.kill()
    process.communicate(timeout=60)
    assert engine.indices("cli-killed") == {}  # half a load is not searched
    assert cli("index", "--images", many, "--index", "cli-killed").returncode == 0
    ((name, body),) = engine.indices("cli-killed").items()
    assert (name, engine.count("cli-killed")) == ("cli-killed-000001", 400)
    assert "refresh_interval" not in body["settings"]["index"]
    assert "load" not in body["mappings"]["_meta"]["lexlip"]


def _png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims to be very large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


def test_names_that_would_steer_a_terminal_are_escaped(cli: Cli, tmp_path: Path, engine: Engine) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "good.png")
    (tmp_path / "\x1b[31mevil\n.jpg").write_text("no picture")
    run = cli("index", "--images", tmp_path, "--index", "cli-steering")
    assert run.returncode == 3
    assert "\\x1b[31mevil\\n.jpg" in run.stderr
    assert "\x1b" not in run.stderr


def test_an_argument_that_is_no_text_still_gives_json(cli: Cli, indexed: Path) -> None:
    run = cli("search", "red caf\udce9", "--index", ALIAS, "--json")
    assert json.loads(run.stdout)["query"] == "red caf\udce9"


def test_a_text_longer_than_a_file_name_has_terms(cli: Cli) -> None:
    assert "red" in cli("terms", "a red thing " * 100).stdout


def test_what_was_left_out_is_told_even_when_the_engine_dies(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    run = cli("export", "--images", tmp_path, "--out", "/proc/nowhere.ndjson")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("lexlip-es: /proc/nowhere.ndjson cannot be written")
