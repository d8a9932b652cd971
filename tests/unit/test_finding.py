import inspect
import os
import re
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.entries import Found, LocalFile, Skipped, path_bytes, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.finding import find_pictures
from lexlip_es.formats import EXTENSIONS, KINDS


def made(root: Path, *names: str) -> Path:
    """Make files (and the folders that they are in) with their own name as content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def found(root: Path, files: list[str] | None = None) -> list[str]:
    return [entry.display_path for entry in find_pictures(root, files=files) if isinstance(entry, Found)]


def skipped(root: Path, files: list[str] | None = None) -> dict[str, str]:
    return {entry.display_path: entry.reason for entry in find_pictures(root, files=files) if isinstance(entry, Skipped)}


def path_of(entry: Found) -> Path:
    assert isinstance(entry.place, LocalFile)
    return entry.place.path


# -- what is found


def test_pictures_are_known_by_their_extension_in_any_case(tmp_path: Path) -> None:
    pictures = [f"p{extension}" for extension in EXTENSIONS - KINDS.keys()] + ["LOUD.JPG", "Mixed.TiFf", "two.dots.png"]
    made(tmp_path, *pictures, "notes.txt", "jpg", "film.mp4", "a.jpg.part", "archive.tar.gz")
    assert sorted(found(tmp_path)) == sorted(pictures)


def test_hidden_files_and_folders_are_passed_over_but_not_a_hidden_root(tmp_path: Path) -> None:
    root = made(tmp_path / ".pictures", "seen.jpg", ".hidden.jpg", "._seen.jpg", ".thumbs/a.jpg", "sub/.git/b.jpg")
    assert found(root) == ["seen.jpg"]


def test_order_is_that_of_the_relative_paths(tmp_path: Path) -> None:
    made(tmp_path, "b.jpg", "a/z.jpg", "a/b/c.jpg", "a.jpg", "a-1.jpg", "a0/x.jpg", "B.jpg", "é.jpg")
    entries = [entry.relative for entry in find_pictures(tmp_path) if isinstance(entry, Found)]
    assert entries == sorted(entries)
    assert len(entries) == 8


def test_what_is_found_says_where_how_large_and_how_old(tmp_path: Path) -> None:
    path = made(tmp_path, "sub/a.jpg") / "sub/a.jpg"
    os.utime(path, ns=(0, 1_700_000_000_123_999_999))
    assert list(find_pictures(tmp_path)) == [Found(LocalFile(path), b"sub/a.jpg", 9, "2023-11-14T22:13:20.123Z")]
    os.utime(path, ns=(0, -1_000_000))
    assert next(find_pictures(tmp_path)).modified == "1969-12-31T23:59:59.999Z"  # type: ignore[union-attr]


def test_the_path_is_absolute_and_plain_whatever_the_root_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "photos/a.jpg", "other/b.jpg")
    monkeypatch.chdir(tmp_path / "other")
    assert [path_of(entry) for entry in find_pictures(Path("../photos/.")) if isinstance(entry, Found)] == [
        tmp_path / "photos/a.jpg"
    ]


def test_folders_may_nest_deeper_than_python_does(tmp_path: Path) -> None:
    deep = made(tmp_path, "d/" * 150 + "a.jpg") / ("d/" * 150 + "a.jpg")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert found(tmp_path) == [str(deep.relative_to(tmp_path))]
    finally:
        sys.setrecursionlimit(limit)


# -- pictures that are not read


def test_pictures_that_are_not_read_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    heic = "HEIC needs an extra: pip install 'lexlip-es[heif]', or convert it to JPEG."
    raw = "Camera RAW needs an extra: pip install 'lexlip-es[raw]', or convert it to JPEG."
    expected = {"IMG_1.HEIC": heic, "d.heif": heic, "link.heic": heic, "c.jxl": "JPEG XL is not read yet: convert it to JPEG."}
    expected |= {f"r{kind}": raw for kind in (".cr2", ".CR3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef")}
    made(tmp_path, "a.jpg", *expected.keys() - {"link.heic"}, "film.mov", "film.mp4", "notes.pdf", "._IMG_1.HEIC", "e.heic/f.jpg")
    (tmp_path / "link.heic").symlink_to("a.jpg")
    assert found(tmp_path) == ["a.jpg", "e.heic/f.jpg"]
    assert skipped(tmp_path) == expected


def test_a_folder_of_such_pictures_alone_is_not_empty(tmp_path: Path) -> None:
    assert list(skipped(made(tmp_path, "1.jxl", "2.jxl"))) == ["1.jxl", "2.jxl"]


def test_a_listed_one_is_left_to_the_decoder(tmp_path: Path) -> None:
    assert found(made(tmp_path, "really-a.jpeg.heic"), ["really-a.jpeg.heic"]) == ["really-a.jpeg.heic"]


# -- what is excluded


def kept(root: Path, *exclude: str, files: list[str] | None = None) -> list[str]:
    return [entry.display_path for entry in find_pictures(root, files=files, exclude=exclude)]


def test_what_is_excluded_is_passed_over_as_git_does(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        "a.tmp.jpg",
        "cache/b.jpg",
        "sub/cache/c.jpg",
        "sub/cache/deep/d.jpg",
        "sub/thumbs/e.jpg",
        "top/f.jpg",
        "sub/top/g.jpg",
    ]
    made(tmp_path, *names)
    assert kept(tmp_path, "*.tmp.jpg", "**/cache/*", "thumbs/", "/top/") == ["a.jpg", "sub/top/g.jpg"]
    assert kept(tmp_path, "*", "!a.jpg") == ["a.jpg"]
    assert kept(tmp_path, "cache/", files=["a.jpg", "cache/b.jpg"]) == ["a.jpg"]
    assert kept(tmp_path, "# nothing", "", "A.JPG") == sorted(names)


def test_an_excluded_folder_is_not_entered_and_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a.jpg", "no/b.jpg")
    (tmp_path / "no-drive").symlink_to("/nowhere")
    entered = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: entered.append(Path(path).name) or scandir(path))
    assert kept(tmp_path, "no/", "no-drive") == ["a.jpg"]
    assert "no" not in entered


def test_names_that_are_not_utf8_are_excluded_too(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    assert kept(tmp_path, "caf*") == ["a.jpg"]


@pytest.mark.parametrize("wrong", ["!", "\\", "[z-a]"])
def test_a_pattern_that_means_nothing_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no pattern to exclude"):
        find_pictures(made(tmp_path, "a.jpg"), exclude=[wrong])


def test_to_exclude_everything_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match=r"holds no pictures.*without \*\.jpg"):
        kept(made(tmp_path, "a.jpg"), "*.jpg")


# -- links


def test_links_in_circles_end(tmp_path: Path) -> None:
    made(tmp_path, "root/a.jpg", "root/sub/b.jpg")
    root = tmp_path / "root"
    (root / "sub/again").symlink_to(root)
    (root / "sub/self").symlink_to("../sub")
    (root / "up").symlink_to(tmp_path)
    (root / "slash").symlink_to("/")
    assert found(root) == ["a.jpg", "sub/b.jpg"]
    assert skipped(root) == {}


def test_a_folder_is_walked_by_its_own_path_rather_than_by_a_link(tmp_path: Path) -> None:
    made(tmp_path, "z/a.jpg", "z/deep/b.jpg")
    (tmp_path / "a-link").symlink_to("z/deep")
    assert found(tmp_path) == ["z/a.jpg", "z/deep/b.jpg"]


def test_folders_elsewhere_are_walked_through_links_and_once(tmp_path: Path) -> None:
    made(tmp_path, "root/own.jpg", "drive/x.jpg", "drive/sub/y.jpg")
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "drive")
    (tmp_path / "root/a-sub").symlink_to(tmp_path / "drive/sub")
    (tmp_path / "drive/back").symlink_to(tmp_path / "root")
    assert found(tmp_path / "root") == ["a-sub/y.jpg", "one/x.jpg", "own.jpg"]


def test_a_link_into_a_hidden_folder_is_a_way_in(tmp_path: Path) -> None:
    made(tmp_path, ".store/a.jpg")
    (tmp_path / "photos").symlink_to(".store")
    assert found(tmp_path) == ["photos/a.jpg"]


def test_a_root_that_is_a_link_is_walked_under_its_own_name(tmp_path: Path) -> None:
    made(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert [path_of(entry) for entry in find_pictures(tmp_path / "link") if isinstance(entry, Found)] == [tmp_path / "link/a.jpg"]


def test_a_link_to_a_file_is_a_picture_of_its_own(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "picture-without-extension")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "c.jpg").symlink_to("picture-without-extension")
    (tmp_path / "notes.txt").symlink_to("a.jpg")
    assert found(tmp_path) == ["a.jpg", "b.jpg", "c.jpg"]


def test_broken_links_are_reported_since_a_drive_may_be_missing(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg")
    (tmp_path / "drive").symlink_to("/nowhere/drive")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    assert found(tmp_path) == ["a.jpg"]
    reasons = skipped(tmp_path)
    assert reasons.keys() == {"drive", "circle.jpg"}
    assert reasons["drive"] == "The link leads to nothing."
    assert all(entry.hides for entry in find_pictures(tmp_path) if isinstance(entry, Skipped))  # perhaps not mounted
    assert reasons["circle.jpg"].startswith("The file cannot be looked at")


# -- trouble


def test_special_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    assert skipped(tmp_path) == dict.fromkeys(
        ("pipe.jpg", "device.png"), "It is a pipe, a socket or a device, not a regular file."
    )
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket.jpg")
        assert list(skipped(Path(short))) == ["socket.jpg"]


def test_a_folder_behind_a_closed_door_is_skipped_and_the_walk_goes_on() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = made(Path(name), "a.jpg", "closed/b.jpg", "door/c.jpg", "z.jpg")
        root.chmod(0o755)
        (root / "closed").chmod(0)
        (root / "link.jpg").symlink_to("closed/b.jpg")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # the superuser passes every door, so that somebody else has to try
            try:
                if os.getuid() == 0:
                    os.setresuid(65534, 65534, 65534)
                said = f"{found(root)} {skipped(root)}"
                try:
                    find_pictures(root / "closed")
                except LexlipError as error:
                    said += f" {error}"
                os.write(writer, said.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        (root / "closed").chmod(0o700)
    folder, file = "The folder may not be read by this user.", "The file may not be read by this user."
    expected = {"closed": folder, "link.jpg": file}
    assert said == (f"{['a.jpg', 'door/c.jpg', 'z.jpg']} {expected} The folder {name}/closed cannot be read (Permission denied).")


def test_a_folder_that_vanishes_during_the_walk_is_skipped(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "b/c.jpg", "d.jpg", "e.jpg")
    walk = find_pictures(tmp_path)
    assert next(walk).display_path == "a.jpg"
    (tmp_path / "b/c.jpg").unlink()
    (tmp_path / "b").rmdir()
    (tmp_path / "d.jpg").unlink()
    assert [(entry.display_path, type(entry)) for entry in walk] == [("b", Skipped), ("d.jpg", Skipped), ("e.jpg", Found)]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing", "The folder .*missing does not exist."),
        ("file.jpg", "file.jpg is a file, not a folder; give the folder"),
        ("empty", r"empty holds no pictures \(looked for .3fr .arw .avif .bmp"),
        ("a\0b", "cannot be read"),
    ],
)
def test_a_root_without_pictures_is_an_error_with_a_sentence(name: str, sentence: str, tmp_path: Path) -> None:
    made(tmp_path, "file.jpg", "empty/notes.txt", "empty/.hidden/a.jpg")
    with pytest.raises(LexlipError, match=sentence):
        list(find_pictures(tmp_path / name))


def test_a_missing_root_is_told_before_the_first_picture_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LexlipError):
        find_pictures(tmp_path / "missing")


# -- a list of files


def test_a_list_takes_only_what_it_names_sorted_and_once(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "b.jpg", "sub/c.jpg", "odd.name", ".hidden.jpg")
    names = ["sub/c.jpg", "./a.jpg", "a.jpg", "sub/../a.jpg", "odd.name", ".hidden.jpg", " "]
    assert found(tmp_path, names) == [".hidden.jpg", "a.jpg", "odd.name", "sub/c.jpg"]


def test_a_list_skips_what_is_missing_or_elsewhere(tmp_path: Path) -> None:
    made(tmp_path, "root/a.jpg", "b.jpg")
    reasons = skipped(tmp_path / "root", ["a.jpg", "gone.jpg", "../b.jpg", str(tmp_path / "b.jpg"), "..", ".", "a\0b"])
    assert reasons["gone.jpg"] == "The file does not exist (any more)."
    assert reasons["../b.jpg"] == reasons[str(tmp_path / "b.jpg")] == reasons[".."] == "The name leads out of the folder."
    assert reasons["."] == "It is a folder, not a picture file."
    assert len(reasons) == 6


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match="is empty"):
        list(find_pictures(tmp_path, files=["", "  "]))


# -- paths as text


@given(st.binary() | st.lists(st.sampled_from([b"%", b"25", b"FF", b"\xff", b"8", b"E9", "é".encode(), b"a"])).map(b"".join))
def test_every_path_has_a_text_that_leads_back_to_it(raw: bytes) -> None:
    text = path_text(raw)
    text.encode("utf-8")  # goes into JSON
    assert path_bytes(text) == raw


@given(st.text().filter(lambda text: "%" not in text and not re.search("[\ud800-\udfff]", text)))
def test_a_path_in_utf8_is_its_own_text(text: str) -> None:
    assert path_text(text.encode()) == text


def test_only_what_could_be_misread_is_escaped() -> None:
    assert path_text(b"caf\xe9/100%.jpg") == "caf%E9/100%.jpg"
    assert path_text(b"50%25.jpg") == "50%2525.jpg"
    assert path_text(b"%E9%7F%e9") == "%25E9%7F%e9"


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    with open(raw, "wb"):
        pass
    (entry,) = find_pictures(tmp_path)
    assert isinstance(entry, Found)
    assert (entry.relative, entry.display_path) == (b"caf\xe9.jpg", "caf%E9.jpg")
    assert path_of(entry).exists()
