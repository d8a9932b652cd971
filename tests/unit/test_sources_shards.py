"""Tar shards as a source: what is found and said of it, and what hostile tar files can and cannot do."""

import io
import json
import os
import pickle
import struct
import tarfile
from pathlib import Path

import pytest

from lexlip_es.entries import Found, Skipped
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.images import PictureError
from lexlip_es.sources import Extras, PictureSource, open_picture_source
from lexlip_es.sources.shards import braces

Members = dict[str, bytes | tarfile.TarInfo]


def write_tar(path: Path, members: Members | list[tuple[str, bytes]], **options: object) -> Path:
    with tarfile.open(path, "w", **options) as tar:  # type: ignore[call-overload]
        for name, data in members.items() if isinstance(members, dict) else members:
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(data, tarfile.TarInfo):
                info.size, info.mtime = len(data), 1_700_000_000
            info.name = name
            tar.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def special(kind: bytes, leads_to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, leads_to
    return info


def found(source: PictureSource) -> dict[str, Found]:
    return {entry.display_path: entry for entry in source.entries() if isinstance(entry, Found)}


def skipped(source: PictureSource) -> dict[str, str]:
    return {entry.display_path: entry.reason for entry in source.entries() if isinstance(entry, Skipped)}


# -- what is found


def test_members_are_read_where_they_lie_with_what_is_said_of_them(tmp_path: Path) -> None:
    said = {"caption": "a dog", "tags": ["pet", "brown"], "width": 640, "url": "u", "nsfw": None}
    members = {
        "sub/a.jpg": b"AAA",
        "sub/a.txt": b"a dog\n",
        "sub/a.json": json.dumps(said).encode(),
        "b.txt": "grün".encode(),  # before its picture
        "./b.PNG": b"BB",
        "x" * 150 + ".webp": b"CCCC",  # a name that needs a header of its own
        "b.cls": b"3",
        ".hidden.jpg": b"-",
        "__MACOSX/._b.jpg": b"-",
        "notes.md": b"-",
    }
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = write_tar(tmp_path / "a.tar", members, format=form)
        source = open_picture_source(str(path), meta=["width:long", "nsfw:double"])
        assert (source.root, source.complete) == (str(path), True)
        assert source.meta_schema == {"width": "long", "nsfw": "double"}
        entries = found(source)
        assert list(entries) == ["a.tar/sub/a.jpg", "a.tar/b.PNG", f"a.tar/{'x' * 150}.webp"]
        assert [pickle.loads(pickle.dumps(entry)).place.read() for entry in entries.values()] == [b"AAA", b"BB", b"CCCC"]
        first = entries["a.tar/sub/a.jpg"]
        assert (first.size, first.modified) == (3, "2023-11-14T22:13:20.000Z")
        assert source.extras(first) == Extras(("a dog",), ("pet", "brown"), {"width": 640})
        assert source.extras(entries["a.tar/b.PNG"]) == Extras(("grün",))
        assert skipped(source) == {} and source.notes() == []


def test_names_that_are_not_utf8_are_spelled_as_in_folders(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {os.fsdecode(b"caf\xe9.jpg"): b"A"}, format=tarfile.GNU_FORMAT)
    assert [entry.relative for entry in found(open_picture_source(str(path))).values()] == [b"a.tar/caf\xe9.jpg"]


def test_many_shards_are_one_source_below_their_common_folder(tmp_path: Path) -> None:
    for name in ("x/00000.tar", "x/00001.tar", "y/00001.tar", "y/00012.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_tar(tmp_path / name, {"k.jpg": name.encode()})
    for pattern, names in {
        "x/*.tar": ["00000.tar/k.jpg", "00001.tar/k.jpg"],
        "*/00001.tar": ["x/00001.tar/k.jpg", "y/00001.tar/k.jpg"],
        "{x,y}/000{01..12}.tar": ["x/00001.tar/k.jpg", "y/00001.tar/k.jpg", "y/00012.tar/k.jpg"],
        "**/*.tar": ["x/00000.tar/k.jpg", "x/00001.tar/k.jpg", "y/00001.tar/k.jpg", "y/00012.tar/k.jpg"],
    }.items():
        source = open_picture_source(str(tmp_path / pattern))
        assert source.root == str(tmp_path / pattern)
        assert list(found(source)) == names
    hides = [entry for entry in open_picture_source(f"{tmp_path}/x/0000{{0..2}}.tar").entries() if isinstance(entry, Skipped)]
    assert [(entry.display_path, entry.hides) for entry in hides] == [("00002.tar", True)]  # perhaps not copied yet
    excluding = open_picture_source(str(tmp_path / "x/*.tar"), exclude=["00001.tar/"])
    assert list(found(excluding)) == ["00000.tar/k.jpg"]


def test_a_name_with_the_signs_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "[1]{a,b}").mkdir()
    path = write_tar(tmp_path / "[1]{a,b}" / "{0..9}*.tar", {"k.jpg": b"A"})
    assert list(found(open_picture_source(str(path)))) == ["{0..9}*.tar/k.jpg"]


def test_a_tar_without_times_has_its_file_s(tmp_path: Path) -> None:
    empty = tarfile.TarInfo()
    path = write_tar(tmp_path / "a.tar", {"k.jpg": empty})
    os.utime(path, (0, 1_600_000_000))
    assert found(open_picture_source(str(path)))["a.tar/k.jpg"].modified == "2020-09-13T12:26:40.000Z"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a}{}{", ["{a}{}{"]),
    ],
)
def test_braces_are_those_of_a_shell(pattern: str, names: list[str]) -> None:
    assert list(braces(pattern)) == names


@pytest.mark.parametrize("pattern", ["{0..999999999999}.tar", "{0..9999}{0..9999}.tar"])
def test_braces_do_not_fill_the_memory(pattern: str) -> None:
    with pytest.raises(UsageError, match="stands for more than"):
        open_picture_source(pattern)


def test_what_there_is_not_is_said_at_once(tmp_path: Path) -> None:
    for pattern in ("gone.tar", "*.tar", "{0..3}.tar"):
        with pytest.raises(LexlipError, match="No tar file is meant by"):
            open_picture_source(str(tmp_path / pattern))
    path = write_tar(tmp_path / "a.tar", {"a.txt": b"alone"})
    with pytest.raises(LexlipError, match="hold no pictures"):
        list(open_picture_source(str(path)).entries())
    with pytest.raises(UsageError, match="captions does not go with tar shards"):
        open_picture_source(str(path), captions=tmp_path)


# -- hostile members


def test_members_that_are_no_picture_files_are_named_with_the_reason(tmp_path: Path) -> None:
    members: Members = {
        "good.jpg": b"A",
        "/etc/absolute.jpg": b"A",
        "a/../../up.jpg": b"A",
        "link.jpg": special(tarfile.SYMTYPE, "/etc/passwd"),
        "hard.jpg": special(tarfile.LNKTYPE, "good.jpg"),
        "pipe.jpg": special(tarfile.FIFOTYPE),
        "device.jpg": special(tarfile.CHRTYPE),
        "folder.jpg": special(tarfile.DIRTYPE),
        "empty.jpg": b"",
        "picture.jxl": b"A",
    }
    path = write_tar(tmp_path / "a.tar", [*members.items(), ("good.jpg", b"B")])  # type: ignore[list-item]
    source = open_picture_source(str(path))
    reasons = skipped(source)
    leads_out = "The member's name leads out of the tar file."
    assert reasons["a.tar//etc/absolute.jpg"] == reasons["a.tar/a/../../up.jpg"] == leads_out
    assert (
        reasons["a.tar/link.jpg"]
        == reasons["a.tar/hard.jpg"]
        == "It is a link within the tar file: what it leads to has its own name."
    )
    assert reasons["a.tar/pipe.jpg"] == reasons["a.tar/device.jpg"] == "It is a pipe or a device, not a regular file."
    assert reasons["a.tar/good.jpg"] == "The tar file has another member of this name before it, which is taken."
    assert reasons["a.tar/picture.jxl"] == "JPEG XL is not read yet: convert it to JPEG."
    assert len(reasons) == 8
    entries = found(source)
    assert list(entries) == ["a.tar/good.jpg", "a.tar/empty.jpg"]
    assert entries["a.tar/good.jpg"].place.read() == b"A"
    with pytest.raises(PictureError, match="The file is empty"):
        entries["a.tar/empty.jpg"].place.read()


def test_a_sparse_member_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("sparse.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    path = write_tar(tmp_path / "a.tar", {"sparse.jpg": info, "good.jpg": b"A"}, format=tarfile.GNU_FORMAT)
    source = open_picture_source(str(path))
    assert skipped(source)["a.tar/sparse.jpg"].startswith("It is stored with holes")
    assert list(found(source)) == ["a.tar/good.jpg"]


def test_a_member_of_more_than_a_gibibyte_is_named_and_the_rest_is_found(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"large.jpg": b"", "after.jpg": b"A"})
    data = bytearray(path.read_bytes())
    header = tarfile.TarInfo("large.jpg")
    header.size = (1 << 30) + 512
    data[:512] = header.tobuf()
    with path.open("wb") as file:  # sparse: no disk is used
        file.write(data[:512])
        file.seek(512 + header.size)
        file.write(data[512:])
    source = open_picture_source(str(path))
    assert skipped(source) == {"a.tar/large.jpg": "The member is larger than 1 GiB."}
    assert found(source)["a.tar/after.jpg"].place.read() == b"A"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "grün".encode("latin-1"), "neither text in UTF-8 nor a JSON object"),
        ("a.json", b"[1]", "neither text in UTF-8 nor a JSON object"),
        ("a.json", b"[" * 100_000, "neither text in UTF-8 nor a JSON object"),
        ("a.json", b'{"caption": 3}', "In its JSON, column caption: 3 is no text."),
        ("a.json", b'{"caption": "\\ud800"}', "In its JSON, column caption: '.ud800' is no text."),
        ("a.json", b'{"stars": "many"}', "In its JSON, column stars: 'many' is no long."),
    ],
)
def test_what_stands_beside_a_picture_and_cannot_be_read_is_told(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"A", name: content, "b.jpg": b"B"})
    source = open_picture_source(str(path), meta=["stars:long"])
    assert list(found(source)) == ["a.tar/b.jpg"]
    assert reason.replace(".ud", "\\ud") in skipped(source)["a.tar/a.jpg"]


def test_a_giant_caption_costs_the_caption_only(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"A", "a.txt": bytes((4 << 20) + 1)})
    source = open_picture_source(str(path))
    assert list(found(source)) == ["a.tar/a.jpg"]
    assert skipped(source) == {"a.tar/a.txt": "The member is larger than 4 MiB."}


# -- hostile tar files

DAMAGED = "The tar file is damaged, cut short, or none: what is whole in it was found."
FOUR: Members = {f"{i}.jpg": bytes([65 + i]) * 700 for i in range(4)}


def damaged(path: Path) -> tuple[list[str], dict[str, str]]:
    source = open_picture_source(str(path))
    entries = list(source.entries())
    hiding = [entry for entry in entries if isinstance(entry, Skipped) and entry.hides]
    assert hiding[-1].display_path == path.name  # nothing below is known to be gone
    return [entry.display_path for entry in entries if isinstance(entry, Found)], skipped(source)


@pytest.mark.parametrize("cut", range(100, 6144, 500))
def test_a_tar_cut_anywhere_keeps_what_is_whole(cut: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FOUR)
    path.write_bytes(path.read_bytes()[:cut])
    whole = [f"a.tar/{i}.jpg" for i in range(4) if 1536 * i + 512 + 700 <= cut]
    if not whole and cut < 512:
        assert skipped(open_picture_source(str(path))) == {"a.tar": DAMAGED}
        return
    names, reasons = damaged(path)
    assert names == whole
    assert reasons.pop("a.tar") == DAMAGED
    assert all(reason.startswith("The member is cut short") for reason in reasons.values())


def test_a_damaged_header_costs_its_member_only(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FOUR)
    data = bytearray(path.read_bytes())
    data[1536:1636] = b"\xff" * 100
    path.write_bytes(data)
    assert damaged(path) == (["a.tar/0.jpg", "a.tar/2.jpg", "a.tar/3.jpg"], {"a.tar": DAMAGED})


@pytest.mark.parametrize("size", [1, 100_000, 1 << 40, (1 << 62)])
def test_a_size_that_lies_is_found_out(size: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FOUR)
    data = bytearray(path.read_bytes())
    header = tarfile.TarInfo("1.jpg")
    header.size = size
    data[1536:2048] = header.tobuf(format=tarfile.GNU_FORMAT)
    path.write_bytes(data)
    names, reasons = damaged(path)
    assert "a.tar/0.jpg" in names and reasons["a.tar"] == DAMAGED
    if len(data) < size < 1 << 62:
        assert reasons["a.tar/1.jpg"].startswith("The member is cut short")


def test_headers_that_never_end_are_refused(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "good.tar", FOUR).read_bytes()
    record = b"30 comment=nothing of interest\n"[:30]
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(record)
    nested = (pax.tobuf() + record.ljust(512, b"\0")) * 3000
    long = tarfile.TarInfo("long")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    for name, start in {"nested": nested, "long": long.tobuf(format=tarfile.GNU_FORMAT)}.items():
        path = tmp_path / f"{name}.tar"
        path.write_bytes(good[:1536] + start + good)
        names, reasons = damaged(path)
        assert names[0] == f"{name}.tar/0.jpg" and reasons[path.name] == DAMAGED


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e30", "-5"])
def test_a_time_that_is_none_is_the_file_s_or_the_epoch(time: str, tmp_path: Path) -> None:
    info = tarfile.TarInfo()
    info.pax_headers = {"mtime": time}
    path = write_tar(tmp_path / "a.tar", {"a.jpg": info}, format=tarfile.PAX_FORMAT)
    os.utime(path, (0, 0))
    assert found(open_picture_source(str(path)))["a.tar/a.jpg"].modified == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", DAMAGED),
        (b"<html>not found</html>" * 100, DAMAGED),
        (b"\x1f\x8b" + bytes(2000), "The tar file is compressed (gzip): unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(2000), "The tar file is compressed (zstd): unpack it"),
        (struct.pack("2048B", *([7] * 2048)), DAMAGED),
    ],
)
def test_what_is_no_tar_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    assert skipped(open_picture_source(str(tmp_path / "a.tar")))["a.tar"].startswith(reason)


def test_a_shard_that_shrinks_or_goes_is_an_unreadable_picture(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {**FOUR, "0.txt": b"zero"})
    source = open_picture_source(str(path))
    entries = found(source)
    path.write_bytes(path.read_bytes()[:1300])
    assert entries["a.tar/0.jpg"].place.read() == b"A" * 700
    with pytest.raises(PictureError, match="shorter"):
        entries["a.tar/3.jpg"].place.read()
    with pytest.raises(PictureError, match="shorter"):
        source.extras(entries["a.tar/0.jpg"])
    path.unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        entries["a.tar/0.jpg"].place.read()
