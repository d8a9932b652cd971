import subprocess
import sys
from pathlib import Path

import pytest

from lexlip_es import demo_pictures
from lexlip_es.demo_pictures import PICTURES, write_demo_pictures
from lexlip_es.entries import Found
from lexlip_es.errors import LexlipError
from lexlip_es.finding import find_pictures
from lexlip_es.images import PictureSpec, open_picture

pytest.importorskip("skimage", reason="the demo extra is not installed")


def test_every_demo_picture_is_a_photograph_that_opens(tmp_path: Path) -> None:
    assert write_demo_pictures(tmp_path / "new/folder") == len(PICTURES) == 15
    entries = [entry for entry in find_pictures(tmp_path / "new/folder") if isinstance(entry, Found)]
    assert [entry.display_path for entry in entries] == sorted(PICTURES)
    for entry in entries:
        assert open_picture(entry.place.read(), PictureSpec(32)).pixels.std() > 5


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    write_demo_pictures(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_demo_pictures(tmp_path) == 15
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_somebody_elses_picture_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"my cat")
    with pytest.raises(LexlipError, match="is there already and is another file"):
        write_demo_pictures(tmp_path)
    assert (tmp_path / "cat.png").read_bytes() == b"my cat"


def test_missing_packages_are_named_with_their_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_pictures, "PICTURES", {"a.png": ("no_such_package", "a.png")})
    with pytest.raises(LexlipError, match=r"pip install 'lexlip-es\[demo\]'"):
        write_demo_pictures(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LexlipError, match="cannot be copied"):
        write_demo_pictures(tmp_path / "file")


def test_the_packages_are_located_and_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, lexlip_es.demo_pictures as demo; demo.write_demo_pictures(pathlib.Path(sys.argv[1]));"
        "sys.exit(bool({'skimage', 'sklearn', 'scipy', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
