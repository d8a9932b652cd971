import os
from pathlib import Path

import pytest

from lexlip_es.engines.node.jars import Jar, fetch, locked_jars
from lexlip_es.errors import LexlipError

SMALL = ("jspecify-", "opensearch-compress-", "opensearch-plugin-classloader-")


@pytest.fixture
def small_jars() -> list[Jar]:
    return [jar for jar in locked_jars() if jar.file_name.startswith(SMALL)]


@pytest.fixture
def no_mvn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder, to which a test can add an `mvn` of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_every_jar_is_locked_by_its_sum() -> None:
    jars = locked_jars()
    assert len(jars) == len({jar.file_name for jar in jars}) == 89
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)


def test_missing_jars_are_fetched_and_damaged_ones_fetched_again(small_jars: list[Jar], tmp_path: Path, no_mvn: Path) -> None:
    said: list[str] = []
    paths = fetch(small_jars, tmp_path / "jars", said.append)
    assert [path.name for path in paths] == [jar.file_name for jar in small_jars]
    assert "3 jars" in said[0]
    kept, damaged, cut = paths
    stamp = kept.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    cut.write_bytes(cut.read_bytes()[:100])
    said.clear()
    fetch(small_jars, tmp_path / "jars", said.append)
    assert "2 jars" in said[0]
    assert all(jar.is_at(path) for jar, path in zip(small_jars, paths, strict=True))
    assert kept.stat().st_mtime_ns == stamp
    said.clear()
    fetch(small_jars, tmp_path / "jars", said.append)
    assert said == []
    assert sorted(path.name for path in (tmp_path / "jars").iterdir()) == sorted(path.name for path in paths)


@pytest.mark.parametrize(
    "mvn",
    ["exit 1", 'for o in "$@"; do case $o in -DoutputDirectory=*) printf junk > "${o#*=}/jspecify-1.0.1.jar";; esac; done'],
    ids=["fails", "brings other bytes"],
)
def test_where_mvn_does_not_help_jgo_does(small_jars: list[Jar], tmp_path: Path, no_mvn: Path, mvn: str) -> None:
    script = no_mvn / "mvn"
    script.write_text(f"#!/bin/sh\n{mvn}\n")
    script.chmod(0o755)
    jar = next(jar for jar in small_jars if jar.artifact == "jspecify")
    (path,) = fetch([jar], tmp_path / "jars")
    assert jar.is_at(path)


def test_bytes_that_are_not_the_locked_ones_are_refused(small_jars: list[Jar], tmp_path: Path, no_mvn: Path) -> None:
    jar = small_jars[0]
    other = Jar(jar.group, jar.artifact, jar.version, jar.classifier, "0" * 64, jar.size)
    with pytest.raises(LexlipError, match=rf"{jar.artifact}.*not the locked bytes"):
        fetch([other], tmp_path / "jars")
    assert os.listdir(tmp_path / "jars") == []


def test_a_jar_that_cannot_be_had_leaves_the_others_for_the_next_try(small_jars: list[Jar], tmp_path: Path, no_mvn: Path) -> None:
    unknown = Jar("org.jspecify", "jspecify", "0.0.0-never", "", "0" * 64, 1)
    with pytest.raises(LexlipError, match=r"1 of OpenSearch's jars could not be fetched .*try again"):
        fetch([unknown, small_jars[0]], tmp_path / "jars")
    assert small_jars[0].is_at(tmp_path / "jars" / small_jars[0].file_name)
