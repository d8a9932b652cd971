"""One server of the page for the session, over the session's node: pictures of colours, some of them with hostile words."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from PIL import Image

from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine
from lexlip_es.indexing import index_source
from lexlip_es.library import Library, known_roots
from lexlip_es.loading import Run
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.searching import Searcher
from lexlip_es.serve.access import Access
from lexlip_es.serve.app import create_app
from lexlip_es.serve.guard import THUMBNAILS
from lexlip_es.serve.running import address_of, listening, server
from lexlip_es.serve.searches import Searches
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.thumbnails import Thumbnails
from tests.made_model import COLOURS, make_model
from tests.servers.chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

INDEX = "gallery"
MARKUP = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
SECRET = b"a secret of the tests"
TOKEN = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """A running server; `start` runs another one over the same index, with other manners."""

    url: str
    folder: Path
    model: Path
    engine: Engine
    start: Callable[..., AbstractContextManager[str]]

    def ask(self, path: str, method: str = "GET", url: str | None = None, **options: Any) -> urllib3.BaseHTTPResponse:
        return urllib3.request(method, (url or self.url) + path, redirect=False, retries=False, timeout=60, **options)

    def search(self, query: str, **options: Any) -> Any:
        return self.ask("/api/search", fields={"q": query, **options}).json()


def paint(folder: Path) -> Path:
    """Pictures of one colour each, of different shades and shapes; one lies on its side, one has markup in all that it says."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = MARKUP, SCRIPT  # the camera's make and model
    (folder / "deep").mkdir(parents=True)
    for number in range(12):
        shade = tuple(255 - 9 * number if COLOURS[number % 3] == colour else 6 * number for colour in COLOURS)
        Image.new("RGB", (60 + number, 40), shade).save(folder / "deep" / f"{COLOURS[number % 3]} {number}.png")
    Image.new("RGB", (40, 40), "red").save(folder / f"{MARKUP}.jpg", exif=exif, quality=95)
    exif[0x0112] = 6
    Image.new("RGB", (90, 30), "blue").save(folder / "lying.jpg", exif=exif, quality=95)
    return folder


@contextmanager
def running(app: Any) -> Iterator[str]:
    """The address of a server for an application, which ends with the block."""
    with listening("127.0.0.1", 0) as listener:
        made = server(app)
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        yield address_of(listener)
        made.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = paint(tmp_path_factory.mktemp("gallery") / "pictures")
    captions = folder.parent / "captions.jsonl"
    said = {f"{MARKUP}.jpg": f"a caption {SCRIPT}", "lying.jpg": "a lake at noon"}
    captions.write_text("\n".join(json.dumps({"image": name, "caption": text}) for name, text in said.items()))
    encoder = load_encoder(make_model(folder.parent / "colours"))
    index_source(engine, Run.of(encoder, folder), PictureFolder(folder, captions=captions), INDEX)
    with QueryPictures(encoder.model.picture_spec) as pictures, Thumbnails(folder.parent / "thumbnails") as thumbnails:

        def start(token: str | None = None, engine: Engine = engine) -> AbstractContextManager[str]:
            access = Access.of("127.0.0.1", ("gallery.example",), token, SECRET)
            searches = Searches(
                Searcher(engine, encoder, INDEX, pictures=pictures), f"{THUMBNAILS}{access.thumbnails_key(INDEX)}/"
            )
            library = Library(engine, INDEX, thumbnails, known_roots(engine, INDEX))
            return running(create_app(searches, library, access, INDEX))

        with start() as url:
            yield Site(url, folder, encoder.model.path, engine, start)
    for index in engine.indices(f"{INDEX}-*"):
        engine.delete_index(index)


@pytest.fixture(scope="module")
def closed(site: Site) -> Iterator[str]:
    """The address of a server that wants a token."""
    with site.start(TOKEN) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: "Browser", site: Site) -> "Iterator[Page]":
    """A page of a browser that has never been here, in English and in light."""
    context = browser.new_context(base_url=site.url, locale="en", color_scheme="light")
    yield context.new_page()
    context.close()
