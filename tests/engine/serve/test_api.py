import io

import numpy as np
import pytest
from PIL import Image

from lexlip_es.engines import connect
from lexlip_es.engines.settings import ConnectionSettings
from tests.engine.fault_proxy import FaultProxy, drop, pass_on
from tests.engine.serve.conftest import INDEX, Site


def test_a_search_tells_of_every_hit_why_and_what_the_picture_is(site: Site) -> None:
    found = site.search("red^2 -green", k=2)
    assert [reason["word"] for reason in found["asked"]] == ["red"]
    assert found["asked"][0]["terms"] == [{"term": "red", "contribution": 2.0, "pieces": ["red"]}]
    assert len(found["hits"]) == 2 and found["index"] == INDEX
    for hit in found["hits"]:
        assert np.float32(sum(reason["contribution"] for reason in hit["reasons"])) == np.float32(hit["score"])
        assert hit["width"] >= 40 and hit["height"] == 40 and hit["thumbnail"].startswith("/thumbnails/")


def test_captions_tags_and_cameras_come_with_the_hits_that_have_them(site: Site) -> None:
    (hit,) = site.search("lake", hybrid=True)["hits"]
    assert hit["path"] == "lying.jpg" and hit["caption"] == "a lake at noon" and "onerror" in hit["camera"]
    assert [reason["word"] for reason in hit["reasons"]] == ["caption (BM25)"]


def test_more_like_this_finds_the_picture_itself_first(site: Site) -> None:
    hit = site.search("blue", k=1)["hits"][0]
    alike = site.search(f"like:{hit['id']}", k=3)
    assert alike["hits"][0]["id"] == hit["id"]
    assert alike["asked"][0]["word"] == f"like:{hit['id']}"


def test_a_picture_is_searched_by_with_and_without_words(site: Site) -> None:
    picture = (site.folder / "lying.jpg").read_bytes()
    alone = site.ask("/api/search?k=1", "POST", body=picture).json()
    assert alone["hits"][0]["path"] == "lying.jpg" and alone["asked"][0]["word"] == "like:the picture"
    with_words = site.ask("/api/search?q=red+folder:deep&k=1", "POST", body=picture).json()
    assert with_words["hits"][0]["path"].startswith("deep/")
    assert {reason["word"] for reason in with_words["asked"]} >= {"red", "like:the picture"}


def test_a_thumbnail_is_upright(site: Site) -> None:
    hit = next(hit for hit in site.search("blue")["hits"] if hit["path"] == "lying.jpg")
    answer = site.ask(hit["thumbnail"])
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.data)).size == (hit["width"], hit["height"]) == (30, 90)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/search", 400, "q: field required"),
        ("/api/search?q=red&k=0", 400, "k: input should be greater"),
        ("/api/search?q=+", 400, "the query is empty"),
        ("/api/search?q=like:nowhere.jpg", 400, "has no such picture"),
        ("/nowhere", 404, "not found"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so_in_a_sentence(site: Site, path: str, status: int, said: str) -> None:
    answer = site.ask(path)
    assert answer.status == status and said in answer.json()["error"].lower()


def test_the_api_describes_itself_and_what_it_searches(site: Site) -> None:
    assert set(site.ask("/openapi.json").json()["paths"]) == {
        "/api/about",
        "/api/search",
        "/thumbnails/{key}/{content_hash}",
    }
    about = site.ask("/api/about").json()
    assert about["index"] == INDEX and about["pictures"] == 14 and about["hybrid"] is True


def test_nothing_is_shown_of_pictures_that_the_index_has_no_more(site: Site) -> None:
    path = site.folder / "deep" / "red 0.png"
    hit = next(hit for hit in site.search("red")["hits"] if hit["path"] == "deep/red 0.png")
    assert site.ask(hit["thumbnail"]).status == 200
    kept = path.read_bytes()
    path.unlink()
    try:
        assert site.ask(hit["thumbnail"]).status == 404  # though it is kept
    finally:
        path.write_bytes(kept)
    unknown = hit["thumbnail"][:-64] + "0" * 64
    assert "no such picture" in site.ask(unknown).json()["error"]


def test_trouble_with_the_engine_is_told_and_passes(site: Site, proxy: FaultProxy) -> None:
    engine = connect(ConnectionSettings(urls=(proxy.url,)))
    with site.start(engine=engine) as url:
        assert site.ask("/api/search?q=red", url=url).status == 200
        proxy.troubled, proxy.usually = b"/_search", drop
        answer = site.ask("/api/search?q=red", url=url)
        assert answer.status == 503 and "does not answer" in answer.json()["error"]
        proxy.usually = pass_on
        assert site.ask("/api/search?q=red", url=url).json()["hits"]
    engine.close()
