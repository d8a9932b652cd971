"""Strangers at the door: other names, other pages, no token, other people's files, and pictures made to do harm."""

import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from lexlip_es.images import content_hash
from tests.engine.serve.conftest import INDEX, TOKEN, Site
from tests.unit.picture_files import HOSTILE, encoded, photograph


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "169.254.169.254", "[::2]", "[", "", "localhost."],
)
def test_a_name_that_is_not_known_is_refused_so_that_no_stranger_s_name_leads_here(site: Site, host: str) -> None:
    for path in ("/", "/api/search?q=red", "/static/app.js", "/openapi.json"):
        answer = site.ask(path, headers={"Host": host})
        assert answer.status in (400, 403) and b"hits" not in answer.data


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:80", "gallery.example"])
def test_this_machine_s_names_and_allowed_ones_are_let_in(site: Site, host: str) -> None:
    assert site.ask("/api/about", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://", "http://127.0.0.1:PORT@evil.example"],
)
def test_other_pages_may_not_ask(site: Site, origin: str) -> None:
    headers = {"Origin": origin.replace("PORT", str(urlsplit(site.url).port))}
    for method, path in (("GET", "/api/search?q=red"), ("POST", "/api/search"), ("OPTIONS", "/api/search"), ("POST", "/login")):
        answer = site.ask(path, method, headers=headers)
        assert answer.status == 403 and "access-control-allow-origin" not in answer.headers


def test_the_own_page_may_ask(site: Site) -> None:
    assert site.ask("/api/search?q=red", headers={"Origin": site.url}).status == 200


def test_every_answer_tells_the_browser_to_refuse_what_is_not_ours(site: Site) -> None:
    for path in ("/", "/static/app.js", "/api/about", "/nowhere", "/api/search"):
        headers = site.ask(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_without_the_token_nothing_is_told(site: Site, closed: str) -> None:
    for path in ("/api/search?q=red", "/api/about", "/openapi.json", "/nowhere"):
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}, {"Cookie": "lexlip_session=x"}):
            answer = site.ask(path, url=closed, headers=wrong)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert site.ask(path, url=closed, headers={"Authorization": f"Bearer {TOKEN}"}).status != 401
    assert site.ask("/", url=closed).headers["location"] == "/login"


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_do_not_have(site: Site, closed: str) -> None:
    def log_in(token: str) -> Mapping[str, str]:
        return site.ask("/login", "POST", url=closed, body=urlencode({"token": token})).headers

    wrong = log_in("correct horse batterx")
    assert wrong["location"] == "/login#wrong" and "set-cookie" not in wrong
    right = log_in(TOKEN)
    assert right["location"] == "/"
    cookie, *manners = right["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(manners) and TOKEN not in cookie
    assert site.ask("/api/search?q=red", url=closed, headers={"Cookie": cookie}).status == 200


def test_a_thumbnail_needs_its_key_and_no_token(site: Site, closed: str) -> None:
    hit = site.ask("/api/search?q=red&k=1", url=closed, headers={"Authorization": f"Bearer {TOKEN}"}).json()["hits"][0]
    address = hit["thumbnail"]
    shown = site.ask(address, url=closed)
    assert shown.status == 200 and shown.headers["cross-origin-resource-policy"] == "cross-origin"
    key = address.split("/")[2]
    assert site.ask(address.replace(key, "0" * 40), url=closed).status == 404


@pytest.mark.parametrize(
    "path",
    ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/app.py", "/etc/passwd", "..\\app.py", "%00", "app.js/../../app.py"],
)
def test_static_files_and_thumbnails_lead_nowhere_else(site: Site, path: str) -> None:
    key = site.search("red", k=1)["hits"][0]["thumbnail"].rpartition("/")[0]
    for start in ("/static/", f"{key}/"):
        connection = http.client.HTTPConnection(urlsplit(site.url).netloc)  # sends dots as they are
        connection.request("GET", start + path)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 404 and b"root:" not in said and b"import" not in said
        connection.close()


@pytest.fixture
def stranger(site: Site, tmp_path: Path) -> Iterator[Path]:
    """A picture outside of the indexed folder."""
    path = tmp_path / "private.png"
    path.write_bytes(encoded(photograph(seed=9)))
    yield path
    ids = [hit["_id"] for hit in site.engine.scan(INDEX, {"term": {"content_hash": content_hash(path)}}, fields=[])]
    assert all(result.ok for result in site.engine.bulk(INDEX, [{"_id": one, "delete": True} for one in ids]))
    site.engine.refresh(INDEX)


@pytest.mark.parametrize("way", ["path", "root", "link", "folder link"])
def test_no_document_leads_to_a_file_outside_of_the_indexed_folders(site: Site, stranger: Path, way: str) -> None:
    root, path = str(site.folder), "inside.png"
    if way == "path":
        path = os.path.relpath(stranger, site.folder)
    elif way == "root":
        root, path = str(stranger.parent), stranger.name
    elif way == "link":
        (site.folder / path).symlink_to(stranger)
    else:
        (site.folder / "linked").symlink_to(stranger.parent)
        path = f"linked/{stranger.name}"
    source = {"root": root, "collection": root, "path": path, "content_hash": content_hash(stranger), "terms": {"red": 1.0}}
    assert all(result.ok for result in site.engine.bulk(INDEX, [{"_id": "a stranger", "source": source}]))
    site.engine.refresh(INDEX)
    key = site.search("red", k=1)["hits"][0]["thumbnail"].rpartition("/")[0]
    try:
        answer = site.ask(f"{key}/{content_hash(stranger)}")
        assert answer.status == 404 and "no such picture in a folder that may be shown" in answer.json()["error"]
    finally:
        (site.folder / "inside.png").unlink(missing_ok=True)
        (site.folder / "linked").unlink(missing_ok=True)


def test_a_file_that_was_exchanged_is_not_shown(site: Site) -> None:
    hit = next(hit for hit in site.search("green")["hits"] if hit["path"] == "deep/green 10.png")
    for kept in (site.folder.parent / "thumbnails").glob("*.webp"):  # the page's tests may have asked for it before
        kept.unlink()
    path = site.folder / hit["path"]
    before = path.read_bytes()
    path.write_bytes(encoded(photograph(seed=4)))
    try:
        answer = site.ask(hit["thumbnail"])
        assert answer.status == 404 and "changed since it was indexed" in answer.json()["error"]
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["a text", "nothing", "half a JPEG", "a PNG of 50,000 x 50,000"])
def test_what_is_sent_as_a_picture_and_is_none_is_refused_in_a_sentence(site: Site, name: str) -> None:
    content, reason = HOSTILE[name]
    answer = site.ask("/api/search", "POST", body=content)
    assert answer.status == 422 and answer.json()["error"].startswith(reason) and "/tmp" not in answer.json()["error"]


def post(site: Site, header: str) -> socket.socket:
    """The connection of an upload that has only begun."""
    connection = socket.create_connection((urlsplit(site.url).hostname, urlsplit(site.url).port), timeout=30)
    connection.sendall(f"POST /api/search HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
    return connection


def test_an_upload_that_says_it_is_too_large_is_refused_before_it_comes(site: Site) -> None:
    with post(site, "Content-Length: 50000001") as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")


def test_an_upload_that_does_not_say_how_large_it_is_is_counted_as_it_comes(site: Site) -> None:
    piece = b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20))
    with post(site, "Transfer-Encoding: chunked") as connection:
        for _ in range(48):  # 50.3 million bytes
            connection.sendall(piece)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")
    assert site.search("red")["hits"]
