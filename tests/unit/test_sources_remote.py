"""Folders behind URLs, on fsspec's own file systems and on an S3 endpoint of this machine; secrets stay out of what is shown."""

import logging
import os
import pickle
import sys
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from lexlip_es.entries import Found, Skipped
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.images import PictureError
from lexlip_es.sources import Extras, PictureSource, open_picture_source
from lexlip_es.sources.remote import RemoteFile, _cause, _modified, without_secrets

NAMES = (
    "b.jpg",
    "a/z.jpg",
    "a/b/c.PNG",
    "a.jpg",
    "a-1.jpg",
    "notes.txt",
    ".hidden.jpg",
    ".git/d.jpg",
    "é 1%?#.jpg",
    "cache/x.jpg",
)
LISTED = ["a-1.jpg", "a.jpg", "a/b/c.PNG", "a/z.jpg", "b.jpg", "cache/x.jpg", "é 1%?#.jpg"]
SECRETS = ("AKIDEXAMPLE0", "wJalrXUtnFEMI0")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of a server that speaks S3."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["memory", "file", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty folder in each kind of file system; credentials and endpoint are in the environment."""
    if request.param == "file":
        return f"file://{tmp_path}"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[1])
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"b{uuid.uuid4().hex}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/photos"


def write(folder: str, *names: str) -> str:
    system, path = fsspec.core.url_to_fs(folder)
    for name in names:
        system.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        system.pipe(f"{path}/{name}", name.encode())
    return folder


def found(source: PictureSource) -> dict[str, Found]:
    return {entry.display_path: entry for entry in source.entries() if isinstance(entry, Found)}


def skipped(source: PictureSource) -> dict[str, str]:
    return {entry.display_path: entry.reason for entry in source.entries() if isinstance(entry, Skipped)}


# -- what is found, whatever the file system


def test_a_remote_folder_is_walked_as_a_local_one(folder: str) -> None:
    source = open_picture_source(write(folder, *NAMES) + "/")
    assert (source.root.rstrip("/"), source.complete, source.meta_schema) == (folder, True, {})
    entries = found(source)
    assert sorted(entries) == LISTED
    assert [entry.relative for entry in entries.values()] == sorted(entry.relative for entry in entries.values())
    first = entries["a/b/c.PNG"]
    assert first.size == 9 and first.modified >= "2026" and first.modified.endswith("Z")
    assert pickle.loads(pickle.dumps(first)).place.read() == b"a/b/c.PNG"
    assert entries["é 1%?#.jpg"].place.read() == "é 1%?#.jpg".encode()
    assert source.extras(first) == Extras() and source.notes() == []
    assert skipped(source) == {}


def test_it_is_the_same_the_next_time_but_for_what_has_changed(folder: str) -> None:
    source = open_picture_source(write(folder, "a.jpg", "sub/b.jpg"))
    first = found(source)
    assert {name: (entry.size, entry.modified) for name, entry in found(source).items()} == {
        name: (entry.size, entry.modified) for name, entry in first.items()
    }
    write(folder, "sub/c.jpg")
    system, path = fsspec.core.url_to_fs(folder)
    system.pipe(f"{path}/a.jpg", b"longer than before")
    again = found(source)
    assert list(again) == ["a.jpg", "sub/b.jpg", "sub/c.jpg"] and again["a.jpg"].size == 18


def test_excluded_and_unreadable_ones_are_treated_as_in_a_local_folder(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    source = open_picture_source(write(folder, *NAMES, "p.heic"), exclude=["cache/", "/a.jpg", "**/b/*"])
    assert sorted(found(source)) == ["a-1.jpg", "a/z.jpg", "b.jpg", "é 1%?#.jpg"]
    assert skipped(source) == {"p.heic": "HEIC needs an extra: pip install 'lexlip-es[heif]', or convert it to JPEG."}


def test_what_vanishes_grows_or_is_too_large_is_a_sentence(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_picture_source(write(folder, "a.jpg", "b.jpg", "c.jpg"))
    system, path = fsspec.core.url_to_fs(folder)
    system.pipe(f"{path}/empty.jpg", b"")
    entries = found(source)
    system.rm(f"{path}/a.jpg")
    system.pipe(f"{path}/b.jpg", b"much longer than it was")
    system.pipe(f"{path}/c.jpg", b"-")
    with pytest.raises(PictureError, match="does not exist"):
        entries["a.jpg"].place.read()
    assert entries["b.jpg"].place.read() == b"much longer than it was"
    assert entries["c.jpg"].place.read() == b"-"
    with pytest.raises(PictureError, match="The file is empty"):
        entries["empty.jpg"].place.read()
    monkeypatch.setattr("lexlip_es.sources.remote.MAX_FILE_BYTES", 10)
    for place in (entries["b.jpg"].place, RemoteFile(system, f"{path}/b.jpg", None), RemoteFile(system, f"{path}/b.jpg", 11)):
        with pytest.raises(PictureError, match="larger than"):
            place.read()


def test_an_empty_a_missing_and_a_single_file_are_told(folder: str) -> None:
    with pytest.raises(LexlipError, match="cannot be listed: The folder does not exist"):
        open_picture_source(f"{folder}/gone")
    write(folder, "notes.txt", "a.jpg")
    with pytest.raises(LexlipError, match=r"is a file, not a folder|cannot be listed"):
        open_picture_source(f"{folder}/a.jpg")
    with pytest.raises(LexlipError, match=r"holds no pictures"):
        list(open_picture_source(folder, exclude=["*.jpg"]).entries())


# -- file systems' own ways


def test_objects_that_stand_for_folders_and_empty_names_end_no_walk(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[1])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    bucket = f"b{uuid.uuid4().hex}"
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir(bucket)
    for key in ("photos/", "photos/sub/", "photos/sub/a.jpg", "photos//b.jpg"):
        system.call_s3("put_object", Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else b"x")
    source = open_picture_source(f"s3://{bucket}/photos/")
    assert list(found(source)) == ["sub/a.jpg"]
    assert skipped(source) == {"//": "A folder below has an empty name (//), so that what is in it cannot be listed."}
    assert list(found(open_picture_source(f"s3://{bucket}"))) == ["photos/sub/a.jpg"]


def test_a_page_that_lists_files_is_a_folder_and_shows_no_password(tmp_path: Path) -> None:
    write(f"file://{tmp_path}", "p/a.jpg", "p/sub/\u00e9.jpg", "p/notes.txt")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        source = open_picture_source(f"http://me:secret@{address}/p/")
        entries = found(source)
        assert source.root == f"http://{address}/p"
        assert {name: entry.place.read() for name, entry in entries.items()} == {
            "a.jpg": b"p/a.jpg",
            "sub/\u00e9.jpg": "p/sub/\u00e9.jpg".encode(),
        }
        assert "secret" not in repr(entries)
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_links_pipes_and_closed_folders_of_a_local_url(tmp_path: Path) -> None:
    write(f"file://{tmp_path}", "a.jpg", "sub/b.jpg")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to(tmp_path)
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "caf\udce9.jpg").write_bytes(b"A")
    source = open_picture_source(f"file://{tmp_path}")
    assert list(found(source)) == ["a.jpg", "caf%E9.jpg", "link.jpg", "sub/b.jpg"]
    assert found(source)["caf%E9.jpg"].place.read() == b"A"
    reasons = skipped(source)
    assert reasons.keys() == {"loop.jpg", "broken.jpg", "pipe.jpg"}
    assert reasons["pipe.jpg"].startswith("It is a pipe")
    assert reasons["loop.jpg"].startswith("It is a link to a folder")


@pytest.mark.parametrize(
    ("info", "nanoseconds"),
    [
        ({"mtime": 1.5, "created": 9}, 1_500_000_000),
        ({"modify": "19700101000002"}, 2_000_000_000),
        ({"updated": "1970-01-01T00:00:03Z"}, 3_000_000_000),
        ({"modify": "yesterday"}, 0),
        ({"mtime": float("inf")}, 0),
        ({}, 0),
    ],
)
def test_times_are_read_by_whatever_name_they_have(info: dict[str, object], nanoseconds: int) -> None:
    assert _modified(info) == nanoseconds


# -- what is missing, and secrets


def test_missing_packages_and_unknown_protocols_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="nosuch://x cannot be opened"):
        open_picture_source("nosuch://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(LexlipError, match=r"s3:// needs another package: pip install 'lexlip-es\[s3\]'"):
        open_picture_source("s3://bucket")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(LexlipError, match=r"pip install 'lexlip-es\[remote\]'"):
        open_picture_source("s3://bucket")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a@b.jpg", "s3://bucket/a@b.jpg"),
        ("s3://bucket/what?/x", "s3://bucket/what?/x"),
        ("s3://key:secret@bucket/p", "s3://bucket/p"),
        ("sftp://me:secret@host:22/photos", "sftp://me@host:22/photos"),
        ("sftp://me@host/a@b", "sftp://me@host/a@b"),
        ("sftp://me:se?sec#ret@host/photos", "sftp://me@host/photos"),
        ("SFTP://me:secret@[::1]:22/a@b", "SFTP://me@[::1]:22/a@b"),
        ("https://secret@host/my photos/?secret", "https://host/my photos/"),
        ("HTTPS://me:secret@host/p/?X-Amz-Signature=secret", "HTTPS://host/p/"),
        ("az://container/x?sig=secret", "az://container/x"),
        ("simplecache::http://host/p/?X-Amz-Signature=secret", "simplecache::http://host/p/"),
        ("zip://p::simplecache::https://host/a.zip?sig=secret", "zip://p::simplecache::https://host/a.zip"),
        ("zip://p?sig=secret::s3://bucket/what?.zip", "zip://p::s3://bucket/what?.zip"),
        ("abfs://photos@acct.dfs.core.windows.net/a", "abfs://photos@acct.dfs.core.windows.net/a"),
        ("abfss://scans@acct.dfs.core.windows.net/a?sv=1&sig=secret", "abfss://scans@acct.dfs.core.windows.net/a"),
        ("github://org:repo@main/a@b", "github://org:repo@main/a@b"),
        ("git://path:repo@main/p", "git://path:repo@main/p"),
        ("https://me:se@cret@host/p/?X-Amz-Signature=secret", "https://host/p/"),
        ("simplecache::sftp://me:secret@host/p", "simplecache::sftp://me@host/p"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert without_secrets(shown) == shown
    for said in (f"cannot reach {url}", f"404, url='{url}'", "Max retries exceeded with url: /p/?sig=secret (caused by)"):
        assert " " in url or "secret" not in _cause(OSError(said))


@pytest.mark.parametrize("password", ["se/cret", "se cret"])
def test_a_password_that_looks_like_a_path_is_refused_unseen(password: str) -> None:
    with pytest.raises(UsageError, match="write it as %2F") as refusal:
        open_picture_source(f"sftp://me:{password}@host/photos")
    assert "cret" not in str(refusal.value)


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(LexlipError) as refusal:
        open_picture_source("ftp://me:secret@127.0.0.1:1/photos")
    assert "secret" not in str(refusal.value) and "ftp://me@127.0.0.1:1/photos" in str(refusal.value)


def test_no_credential_is_in_anything_that_is_shown(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[1])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    bucket = f"b{uuid.uuid4().hex}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    source = open_picture_source(write(f"s3://{bucket}/p", "a.jpg"))
    shown = f"{source.root} {list(source.entries())!r}"
    with pytest.raises(LexlipError) as refusal:
        open_picture_source(f"s3://not-{bucket}/p")
    assert not any(secret in f"{shown} {refusal.value!r}" for secret in SECRETS)
