"""The query language on every kind of server: what filters, what weighs, and that texts and terms add up to the score."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.why_exact import adds_up
from lexlip_es import PictureIndex
from lexlip_es.demo_pictures import write_demo_pictures
from lexlip_es.dialects import FieldType, family_for
from lexlip_es.documents import document_id, features, name_words
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject
from lexlip_es.weights import SparseWeights, prepare_documents
from tests.servers import Server, on_servers

pytestmark = on_servers("opensearch-3.9.0", "opensearch-2.19.6", "elasticsearch-9.5.3", "elasticsearch-7.17.29")
ALIAS, ONCE, FOLDER = "language", "language-once", "/photos"
# path -> the pieces that the picture carries, and what else its document says
PICTURES: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "a/dog.jpg": (
        {"dog": 3.0, "beach": 1.0, "sand": 0.7},
        {"caption": ["A dog on the beach", "A red car behind a dog"], "tags": ["Holiday", "two words"], "width": 3000,
         "height": 1000, "taken_at": "2024-05-17T10:00:00", "camera": "FUJIFILM X*T5"},
    ),
    "a/b c/leash.jpg": (
        {"dog": 2.0, "leash": 1.5, "skate": 0.4},
        {"caption": ["A dog with a car that is red"], "tags": ["dog"], "width": 2000, "taken_at": "2025-01-01T00:00:00"},
    ),
    "red_car.jpg": ({"red": 2.0, "car": 2.5, "street": 0.5}, {"camera": "Canon", "taken_at": "2023-12-31T23:59:59"}),
    "skate.jpg": ({"skate": 1.0, "##board": 1.1, "##er": 0.9, "street": 2.0}, {"caption": ["street"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ModelFolder:
    return ModelFolder.open(starter_path())


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    connected = connect(ConnectionSettings(urls=(server.url,)))
    yield connected
    connected.close()


def made(engine: Engine, model: ModelFolder, alias: str, *, write_once: bool = False, collection: str = FOLDER) -> None:
    field: FieldType = (
        "sparse_vector" if engine.server.product == "elasticsearch" and engine.server.version > (8,) else "rank_features"
    )
    meta = index_meta(model, "picture", 64, field, write_once=write_once)
    body = index_body(meta, family=family_for(engine.server, field), server=engine.server)
    engine.create_index(f"{alias}-000001", {**body, "aliases": {alias: {}}})
    documents = []
    for path, (weights, said) in PICTURES.items():
        row = prepare_documents(
            SparseWeights.from_rows([([model.lexicon.piece_id(piece) for piece in weights], list(weights.values()))]), 64
        ).row(0)
        folders = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)]
        place = {"collection": collection, "path": path, "folder": folders, "name": name_words(path)}
        documents.append({
            "_id": document_id(collection, path.encode()), "source": {"terms": features(row, model.lexicon), **place, **said},
        })  # fmt: skip
    assert [result.reason for result in engine.bulk(f"{alias}-000001", documents) if not result.ok] == []
    engine.refresh(alias)


@contextmanager
def made_index(server: Server, engine: Engine, model: ModelFolder, alias: str) -> Iterator[PictureIndex]:
    made(engine, model, alias)
    with PictureIndex(server.url, alias, model.path) as opened:
        yield opened
    for name in engine.indices(f"{alias}*"):
        engine.delete_index(name)


@pytest.fixture(scope="module")
def index(server: Server, engine: Engine, model: ModelFolder) -> Iterator[PictureIndex]:
    with made_index(server, engine, model, ALIAS) as opened:
        yield opened


def scores(index: PictureIndex, query: str, **options: Any) -> dict[str, float]:
    return {hit.path: hit.score for hit in index.search(query, **options).hits}


def test_demands_and_bans_leave_some_out_and_change_no_score(index: PictureIndex) -> None:
    plain = scores(index, "a dog in the street")
    assert len(plain) == 4
    for asked, left in {
        "-leash": {"a/dog.jpg", "red_car.jpg", "skate.jpg"},
        "+leash": {"a/b c/leash.jpg"},
        "+beach +sand": {"a/dog.jpg"},
        "+beach -sand": set(),
        "+skateboarder": {"skate.jpg"},  # all of its pieces
        "-skateboarder": {"a/dog.jpg", "a/b c/leash.jpg", "red_car.jpg"},
        '+"red car"': {"red_car.jpg"},
        '-"red leash"': set(plain),  # nothing carries both
    }.items():
        assert scores(index, f"a dog in the street {asked}") == {path: plain[path] for path in plain if path in left}, asked
        filter = {"bool": {"must_not": {"term": {"path": "skate.jpg"}}}}
        both = scores(index, f"a dog {asked} in the street", filter=filter)
        assert both == {path: plain[path] for path in plain if path in left - {"skate.jpg"}}, asked


def test_a_boost_multiplies_what_its_word_gave(index: PictureIndex) -> None:
    plain, boosted = (index.search(query).hits for query in ("dog street", "dog^2.5 street"))
    before = {(hit.path, share.piece): share for hit in plain for share in hit.terms}
    for hit in boosted:
        assert adds_up(hit)
        for share in hit.terms:
            was = before[hit.path, share.piece]
            factor = 2.5 if share.brought_by == "dog" else 1.0
            assert share.query_weight == np.float32(was.query_weight * factor)
            assert share.brought_by == was.brought_by
    assert {share.brought_by for hit in boosted for share in hit.terms} >= {"dog", "street"}


def test_a_phrase_asks_for_its_pieces_alone(index: PictureIndex) -> None:
    (hit,) = index.search('"red car"').hits
    assert hit.path == "red_car.jpg" and adds_up(hit)
    assert {(share.piece, share.brought_by) for share in hit.terms} == {("red", '"red"'), ("car", '"car"')}


@pytest.mark.parametrize(
    ("filter", "left"),
    [
        ("taken:2024", {"a/dog.jpg"}),
        ("taken:2023..2024", {"a/dog.jpg", "red_car.jpg"}),
        ("taken:>2023", {"a/dog.jpg", "a/b c/leash.jpg"}),
        ("taken:2025-01-01", {"a/b c/leash.jpg"}),
        ("taken:2025..2024", set()),
        ("folder:a/", {"a/dog.jpg", "a/b c/leash.jpg"}),
        ('folder:"a/b c"', {"a/b c/leash.jpg"}),
        ("-folder:a", {"red_car.jpg", "skate.jpg"}),
        ("camera:fuji", {"a/dog.jpg"}),
        ("camera:x*t", {"a/dog.jpg"}),
        ("camera:f*m", set()),  # a star is a star
        ("width:>2000", {"a/dog.jpg"}),
        ("width:1000..2000", {"a/b c/leash.jpg"}),
        ("height:1000", {"a/dog.jpg"}),
        ("height:999999999", set()),
        ("tag:holiday", {"a/dog.jpg"}),
        ('tag:"two words"', {"a/dog.jpg"}),
        ("-tag:dog +dog", {"a/dog.jpg"}),
    ],
)
def test_filters_alone_list_what_matches_by_path_without_a_score(index: PictureIndex, filter: str, left: set[str]) -> None:
    found = index.search(filter).hits
    assert [hit.path for hit in found] == sorted(left)
    assert all((hit.score, hit.terms) == (0.0, []) for hit in found)
    assert set(scores(index, f"dog car street {filter}")) == left


def test_a_picture_of_the_index_is_searched_by_its_own_terms(index: PictureIndex, model: ModelFolder) -> None:
    by_path = index.search('like:"a/dog.jpg"').hits
    assert [hit.path for hit in by_path] == ["a/dog.jpg", "a/b c/leash.jpg"]
    assert {share.brought_by for share in by_path[0].terms} == {"like:a/dog.jpg"} and by_path[0].score == pytest.approx(
        1, abs=0.01
    )
    for name in (by_path[0].id, f"{FOLDER}/a/dog.jpg"):
        assert [hit.score for hit in index.search(f"like:{name}").hits] == [hit.score for hit in by_path]
    mixed = index.search("like:a/dog.jpg street").hits
    assert {hit.path for hit in mixed} == set(PICTURES) and all(map(adds_up, mixed))
    why = index.explain("like:a/dog.jpg street", by_path[0].id)
    assert why.terms == next(hit for hit in mixed if hit.id == why.id).terms
    null = {"collection": FOLDER, "path": "null.jpg", "terms": {"dog": 1.0, "cat": None}}
    assert next(iter(index.engine.bulk(f"{ALIAS}-000001", [{"_id": "null", "source": null}]))).ok
    index.engine.refresh(ALIAS)
    assert [share.piece for share in index.search("like:null", all=True).hits[0].terms] == ["dog"]
    index.delete(["null"])
    with pytest.raises(UsageError, match=r"like:a/cat\.jpg: index language has no such picture and there is no such file"):
        index.search("like:a/cat.jpg")


def test_a_picture_of_a_write_once_index_is_encoded_from_where_it_lies(
    index: PictureIndex, server: Server, engine: Engine, model: ModelFolder, tmp_path: Path
) -> None:
    write_demo_pictures(tmp_path)
    (tmp_path / "cat.png").rename(tmp_path / "skate.jpg")
    encoder = load_encoder(model)
    made(engine, model, ONCE, write_once=True, collection=str(tmp_path))
    with QueryPictures(model.picture_spec) as pictures:
        searcher = Searcher(engine, encoder, ONCE, local_files=True, pictures=pictures)
        cat = Subject.of(encoder, picture=tmp_path / "skate.jpg", pictures=pictures)
        for named in ("skate.jpg", tmp_path / "skate.jpg"):
            alike = searcher.with_likes(Subject.of(encoder, f'like:"{named}"'))
            assert all(map(np.array_equal, alike.row, cat.row))
            assert searcher.with_likes(alike) is alike
        with pytest.raises(LexlipError, match=r"keeps no terms of .*red_car\.jpg and the file is not here"):
            searcher.search(Subject.of(encoder, "like:red_car.jpg"))
        outside = Subject.of(encoder, f'like:"{tmp_path}/coffee.png"')
        assert len(searcher.with_likes(outside).row[0]) == model.pruning.picture_terms
        strict = Searcher(engine, encoder, ONCE, pictures=pictures)
        with pytest.raises(UsageError, match="has no such picture: take"):
            strict.search(outside)
        with pytest.raises(UsageError, match=r"keeps no terms of this picture, and files are not read for queries here: search"):
            strict.search(Subject.of(encoder, "like:skate.jpg"))
    hits = searcher.search(Subject.of(encoder, 'dog -leash "red car"'), hybrid=True).hits
    assert {hit.path for hit in hits} == {"a/dog.jpg", "red_car.jpg"}
    assert all(map(adds_up, hits)) and all(hit.terms and hit.texts for hit in hits)


def test_texts_are_asked_beside_the_terms_and_all_shares_add_up_to_the_score(index: PictureIndex) -> None:
    for query in (
        "a dog on a beach",
        'dog "red car"',
        "red car",
        '"red car"',
        "holiday",
        "zyzzyva street",
        "like:skate.jpg holiday",
    ):
        plain, found = index.search(query).hits, index.search(query, hybrid=True).hits
        assert all(map(adds_up, found)), query
        terms = {hit.path: hit.terms for hit in plain}
        for hit in found:
            assert hit.terms == terms.get(hit.path, []), query
            why = index.explain(query, hit.id, hybrid=True)
            assert (why.terms, why.texts, why.score) == (hit.terms, hit.texts, hit.score)
    assert [hit.path for hit in index.search("with that", hybrid=True).hits] == ["a/b c/leash.jpg"]  # by no term at all
    asked = {share.field for hit in index.search("red holiday dog", hybrid=True).hits for share in hit.texts}
    assert asked == {"caption", "tags", "name"}
    assert all(hit.texts == [] for hit in index.search("red holiday dog").hits)


def test_a_phrase_is_one_in_captions(index: PictureIndex) -> None:
    given = {
        hit.path: {share.field: share.contribution for share in hit.texts} for hit in index.search('"red car"', hybrid=True).hits
    }
    assert "caption" in given["a/dog.jpg"] and "a/b c/leash.jpg" not in given
    assert "name" in given["red_car.jpg"]


def test_hybrid_says_its_shares_whatever_else_is_asked(index: PictureIndex, engine: Engine, model: ModelFolder) -> None:
    named = {"bool": {"must_not": {"term": {"path": {"value": "skate.jpg", "_name": "dog"}}}}}
    kept = index.search("red dog -leash", hybrid=True, filter=named, all=True).hits
    assert [hit.path for hit in kept] == ["red_car.jpg", "a/dog.jpg"] or [hit.path for hit in kept] == [
        "a/dog.jpg",
        "red_car.jpg",
    ]
    assert all(map(adds_up, kept)) and any(hit.texts for hit in kept)
