from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lexlip_es.cli import app
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.indexing import open_sources
from lexlip_es.loading import kind_of
from lexlip_es.sources.folder import PictureFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (9, 9)).save(tmp_path / "black.png")
    (tmp_path / "texts.txt").write_text("a dog\n")
    return tmp_path


def test_several_sources_of_one_kind_are_opened_in_order(folder: Path) -> None:
    (folder / "deep").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "deep" / "black.png")
    opened = open_sources([str(folder), str(folder / "deep")], [])
    assert [(kind_of(source), source.root) for source in opened] == [("picture", str(folder)), ("picture", str(folder / "deep"))]
    assert [kind_of(source) for source in open_sources([], [folder / "texts.txt"])] == ["text"]


def test_no_source_and_both_kinds_are_refused(folder: Path) -> None:
    for pictures, texts in (([], []), ([str(folder)], [folder / "texts.txt"])):
        with pytest.raises(UsageError, match="one kind of things at a time"):
            open_sources(pictures, texts)


def test_a_list_of_files_belongs_to_one_source(folder: Path) -> None:
    with pytest.raises(UsageError, match="about one source"):
        open_sources([str(folder)] * 2, [], files=folder / "texts.txt")


def test_captions_go_with_their_folders_in_order(folder: Path) -> None:
    said = folder / "captions.csv"
    said.write_text("image,caption\nblack.png,a night\n")

    def captioned(*captions: Path) -> list[bool]:
        sources = open_sources([str(folder)] * 2, [], captions=captions)
        return [isinstance(source, PictureFolder) and source.has_extras for source in sources]

    assert captioned(said, Path("-")) == [True, False]
    assert captioned(Path("-"), said) == [False, True]
    assert captioned() == [False, False]
    with pytest.raises(UsageError, match="there are 2 sources and 1 --captions"):
        captioned(said)


def test_a_missing_source_is_named_before_any_server_is_asked(folder: Path) -> None:
    run = CliRunner().invoke(app, ["rebuild", "--images", str(folder / "gone"), "--url", "http://127.0.0.1:9"])
    assert isinstance(run.exception, LexlipError)
    assert "gone" in str(run.exception)
