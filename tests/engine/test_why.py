"""Why a picture is a hit, and which hits are shown, on every kind of server."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.why_exact import adds_up
from lexlip_es import PictureIndex
from lexlip_es.documents import features
from lexlip_es.engines import Engine
from lexlip_es.errors import LexlipError
from lexlip_es.images import content_hash
from lexlip_es.model_folder import ModelFolder
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.relevance import LEAST_SHARE, best_score
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject, document_row
from lexlip_es.why import explained_json, reasons
from tests.engine.test_query_language import FOLDER, made_index
from tests.engine.test_query_language import engine as engine
from tests.engine.test_query_language import model as model
from tests.servers import Server, on_servers

pytestmark = on_servers("opensearch-3.9.0", "opensearch-2.19.6", "elasticsearch-9.5.3", "elasticsearch-7.17.29")
ALIAS = "why"
QUERIES = ("a dog on a beach", "a skateboarder in the street", "dog^3 leash^0.1 like:skate.jpg", '"red car" street')


@pytest.fixture(scope="module")
def index(server: Server, engine: Engine, model: ModelFolder) -> Iterator[PictureIndex]:
    with made_index(server, engine, model, ALIAS) as opened:
        yield opened


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_reasons_of_a_hit_are_its_score_bit_for_bit(index: PictureIndex, hybrid: bool) -> None:
    for query in QUERIES:
        hits = index.search(query, hybrid=hybrid).hits
        assert hits and all(map(adds_up, hits)), query
        said = json.loads(json.dumps(explained_json(hits[0])))["reasons"]
        assert np.float32(sum(reason["contribution"] for reason in said)) == np.float32(hits[0].score)


def test_the_pieces_of_a_typed_word_are_read_as_that_word(index: PictureIndex) -> None:
    hit = index.search("a skateboard").hits[0]
    (reason,) = [reason for reason in reasons(hit) if reason.word == "skateboard"]
    assert hit.path == "skate.jpg"
    assert "skateboard" in [term.term for term in reason.terms]


def test_a_picture_is_explained_by_its_id_and_by_either_path(index: PictureIndex) -> None:
    hit = index.search("a dog on a beach").hits[0]
    explained = [index.explain("a dog on a beach", named) for named in (hit.id, hit.path, f"{FOLDER}/{hit.path}")]
    assert [(why.path, why.score, why.terms) for why in explained] == [(hit.path, hit.score, hit.terms)] * 3


def test_a_file_that_the_index_lacks_is_scored_as_the_engine_scores_it_later(
    index: PictureIndex, engine: Engine, model: ModelFolder, tmp_path: Path
) -> None:
    file, copy, query = tmp_path / "wall.png", tmp_path / "copy.png", "a dog on a beach"
    Image.radial_gradient("L").convert("RGB").save(file)
    copy.write_bytes(file.read_bytes())
    before = index.explain(query, file)
    assert (before.id, before.path) == ("", str(file)) and before.terms and adds_up(before)
    with QueryPictures(model.picture_spec) as pictures:
        terms = features(document_row(index.encoder, file, pictures=pictures), model.lexicon)
    stored = {"terms": terms, "path": "wall.png", "collection": "walls", "content_hash": content_hash(file)}
    assert all(result.ok for result in engine.bulk(ALIAS, [{"_id": "wall", "source": stored}]))
    engine.refresh(ALIAS)
    after = [index.explain(query, named) for named in ("wall", copy, str(copy))]
    list(engine.bulk(ALIAS, [{"_id": "wall", "delete": True}]))
    engine.refresh(ALIAS)
    for why in after:
        assert (why.id, why.path, why.terms) == ("wall", "wall.png", before.terms)
        assert np.float32(why.score) == np.float32(before.score)


def test_a_picture_that_is_nowhere_is_named_and_a_strangers_file_is_not_read(
    index: PictureIndex, server: Server, model: ModelFolder, tmp_path: Path
) -> None:
    with pytest.raises(LexlipError, match="no picture with the id or path nobody and there is no such file"):
        index.explain("dog", "nobody")
    Image.new("RGB", (20, 10)).save(tmp_path / "secret.png")
    with (
        PictureIndex(server.url, ALIAS, model.path, local_files=False) as strict,
        pytest.raises(LexlipError, match=r"secret\.png: take one of a search's hits"),
    ):
        strict.explain("dog", str(tmp_path / "secret.png"))


def test_hits_below_a_score_are_hidden_and_the_cut_off_says_how_many_and_why(index: PictureIndex, engine: Engine) -> None:
    plain = index.search("a dog in the street").hits
    least = plain[1].score
    assert [hit.id for hit in index.search("a dog in the street", min_score=least).hits] == [hit.id for hit in plain[:2]]
    searcher = Searcher(engine, index.encoder, ALIAS)
    subject = Subject.of(index.encoder, "dog^0.01 zebra^4 giraffe^4")
    shown, all_of = searcher.search(subject, cut_off=True), searcher.search(subject)
    bound = LEAST_SHARE * best_score(subject.row)
    assert all_of.hits and [hit.id for hit in shown.hits] == [hit.id for hit in all_of.hits if hit.score >= bound]
    assert shown.cut == len(all_of.hits) - len(shown.hits) > 0
    assert shown.notes[-1].startswith(f"{shown.cut} of the {len(all_of.hits)} best hits are hidden")
    assert (all_of.cut, all_of.notes) == (0, [])


def test_neither_bound_hides_what_filters_find(index: PictureIndex) -> None:
    found = index.search("folder:a", min_score=5.0, cut_off=True)
    assert {hit.path for hit in found.hits} == {"a/dog.jpg", "a/b c/leash.jpg"} and found.cut == 0
