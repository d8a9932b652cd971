"""Looking again at some paths of a folder gives what a whole walk gives there, and looks at nothing else."""

import os
from pathlib import Path

import pytest

from lexlip_es.entries import Found, Skipped
from lexlip_es.finding import find_again, find_pictures, linked

EXCLUDE = ("cache/", "*.tmp.jpg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/c.jpg", "b/d/e.png", "b/d.jpg", "cache/x.jpg", "b/.hidden/y.jpg", "b/z.tmp.jpg", "b/notes.txt"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    (tmp_path / "photos/b/broken.jpg").symlink_to("nowhere")
    (tmp_path / "photos/b/loop").symlink_to(tmp_path / "photos")
    return tmp_path / "photos"


def again(root: Path, *paths: str) -> list[str]:
    met = find_again(root, [os.fsencode(path) for path in paths], exclude=EXCLUDE)
    return [each.display_path for each in met]


def test_all_paths_together_are_the_whole_walk(root: Path) -> None:
    paths = [os.fsencode(path.relative_to(root)) for path in root.rglob("*")]
    whole = list(find_pictures(root, exclude=EXCLUDE))
    assert {each.display_path for each in whole} == {"a.jpg", "b/c.jpg", "b/d/e.png", "b/d.jpg", "b/broken.jpg"}
    found = sorted(find_again(root, paths, exclude=EXCLUDE), key=lambda each: each.display_path)
    assert found == sorted(whole, key=lambda each: each.display_path)


def test_a_path_gives_what_is_there_and_a_folder_what_lies_below_it_once(root: Path) -> None:
    assert again(root, "b/c.jpg") == ["b/c.jpg"]
    assert again(root, "b/d", "b/d/e.png") == ["b/d/e.png"]
    assert sorted(again(root, "b", "b/d", "a.jpg")) == ["a.jpg", "b/broken.jpg", "b/c.jpg", "b/d.jpg", "b/d/e.png"]


@pytest.mark.parametrize("path", ["gone.jpg", "gone/x.jpg", "a.jpg/x.jpg", "cache/x.jpg", "b/.hidden/y.jpg", "b/z.tmp.jpg"])
def test_what_a_walk_would_not_meet_is_not_met(root: Path, path: str) -> None:
    assert again(root, path) == []


def test_a_broken_link_hides_what_it_may_lead_to(root: Path) -> None:
    (met,) = find_again(root, [b"b/broken.jpg"])
    assert isinstance(met, Skipped) and met.hides


def test_nothing_is_there_when_the_root_is_not(root: Path) -> None:
    assert again(root / "elsewhere", "a.jpg") == []


def test_a_name_that_is_no_text_is_found(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.jpg")).write_bytes(b"x")
    (met,) = find_again(root, [b"caf\xe9.jpg"])
    assert isinstance(met, Found) and met.display_path == "caf%E9.jpg"


def test_links_to_folders_are_known(root: Path) -> None:
    assert linked(root, b"b/loop") and linked(root, b"b/loop/a.jpg")
    assert not linked(root, b"b/d/e.png") and not linked(root, b"b/broken.jpg") and not linked(root, b"gone/x.jpg")
