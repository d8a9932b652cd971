"""The engine's side of the comparison with FAISS, on a real node: what is built is what the model keeps, asked exactly."""

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.versus.caption_systems import build_captions
from benchmarks.versus.collection import Collection
from benchmarks.versus.elasticsearch_systems import SERVER, build_sparse_vector
from benchmarks.versus.engine_systems import Asking, EngineIndex, Node, build_split, build_terms
from benchmarks.versus.storing import Stored
from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores
from tests.servers import Server, on_servers
from tests.unit.versus_systems import small_collection

PICTURES, QUERIES, K, TERMS = 300, 12, 10, 12


@pytest.fixture(scope="module")
def collection() -> Collection:
    return small_collection(PICTURES, queries=QUERIES)


@pytest.fixture(scope="module")
def own(node: embedded.RunningNode, engine: Engine) -> Iterator[Node]:
    server = Server("opensearch-3.9.0", node.url, "opensearch", node.version, node.data, node.pid)
    yield Node(server, engine)
    assert not engine.indices("versus*")


@pytest.fixture(scope="module")
def built(own: Node, collection: Collection) -> Iterator[EngineIndex]:
    asked = (Asking("table", 5), Asking("tower", 9), Asking("tower", 9, window=PICTURES), Asking("table", 5, stored=True))
    built = build_terms(own, collection, TERMS, asked=asked)
    yield built
    built.close()


def scores(queries: SparseWeights, collection: Collection, terms: int = 64) -> np.ndarray:
    return reference_scores(prepare_queries(queries, terms), prepare_documents(collection.pictures, TERMS))


def assert_best(built: EngineIndex, way: int, expected: np.ndarray) -> None:
    asker = built.ways()[way].asker()
    for query in range(QUERIES):
        answer = asker.ask(query, K)
        assert answer.took_ms is not None
        np.testing.assert_array_equal(expected[query][answer.ids], np.sort(expected[query])[::-1][:K])
    asker.close()


def test_every_way_ranks_as_the_reference_does(built: EngineIndex, collection: Collection) -> None:
    table, tower = scores(collection.table_queries, collection), scores(collection.tower_queries, collection)
    assert_best(built, 0, table)
    assert_best(built, 1, tower)
    assert_best(built, 3, table)
    assert built.ways()[2].parameters["rescore window"] == PICTURES


def test_rescoring_that_covers_everything_finds_what_one_phase_finds(built: EngineIndex) -> None:
    whole, two_phase = (built.ways()[number].asker() for number in (1, 2))
    for query in range(QUERIES):
        assert set(whole.ask(query, K).ids) == set(two_phase.ask(query, K).ids)


def test_the_parts_are_those_of_one_segment_and_name_the_terms_postings(built: EngineIndex, own: Node) -> None:
    segments = own.engine.request("GET", f"/{built.index}/_segments")["indices"][built.index]["shards"]["0"][0]["segments"]
    (segment,) = segments.values()
    assert not segment["compound"] and segment["num_docs"] == PICTURES
    assert built.cost.bytes == segment["size_in_bytes"]
    postings = built.cost.parts["postings of terms"]
    assert PICTURES * TERMS < postings < 5 * PICTURES * TERMS
    assert all(size >= 0 for size in built.cost.parts.values())
    assert built.cost.resident_bytes and built.cost.seconds > 0


def test_scaled_weights_score_alike_and_take_fewer_bytes(built: EngineIndex, own: Node, collection: Collection) -> None:
    stored = Stored.small("scaled", prepare_documents(collection.pictures, TERMS))
    small = build_terms(own, collection, TERMS, stored=stored, asked=(Asking("table", 5),))
    assert_best(small, 0, scores(collection.table_queries, collection))
    assert small.cost.parts["postings of terms"] < built.cost.parts["postings of terms"]
    small.close()


def test_shards_and_a_source_without_terms_change_no_ranking(built: EngineIndex, own: Node, collection: Collection) -> None:
    split = build_split(own, collection, TERMS, shards=2, asked=(Asking("table", 5),))
    bare = build_terms(own, collection, TERMS, write_once=True, asked=(Asking("table", 5),))
    for other in (split, bare):
        assert_best(other, 0, scores(collection.table_queries, collection))
    segments = own.engine.request("GET", f"/{split.index}/_segments")["indices"][split.index]["shards"]
    assert [len(copies[0]["segments"]) for copies in segments.values()] == [1, 1]
    assert split.cost.seconds > built.cost.seconds
    assert bare.cost.parts["stored"] < built.cost.parts["stored"]
    for other in (split, bare):
        other.close()


def test_where_pictures_are_many_the_postings_are_told_from_the_first(
    own: Node, built: EngineIndex, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.versus.engine_systems.APART", PICTURES // 2)
    half = build_terms(own, collection, TERMS, stored=Stored("half", prepare_documents(collection.pictures, TERMS)), asked=())
    assert half.cost.parts["postings of terms"] == pytest.approx(built.cost.parts["postings of terms"], rel=0.2)
    assert half.cost.bytes == pytest.approx(built.cost.bytes, rel=0.05)
    assert "times 2" in half.cost.notes[-1]
    half.close()


def test_a_query_without_terms_finds_nothing(own: Node, collection: Collection) -> None:
    nothing = SparseWeights.from_rows([([], [])] * QUERIES)
    silent = Collection(**{**vars(collection), "table_queries": nothing})
    index = build_terms(own, silent, TERMS, shards=3, asked=(Asking("table", 5),))
    assert len(index.ways()[0].asker().ask(0, K).ids) == 0
    index.close()


def test_captions_are_found_by_their_words(own: Node, collection: Collection) -> None:
    captions = [[f"number{i} is here", "a picture"] for i in range(PICTURES)]
    asking = Collection(**{**vars(collection), "texts": tuple(f"find number{i}" for i in collection.gold)})
    built = build_captions(own, asking, captions)
    (way,) = built.ways()
    assert way.asker().ask(3, K).ids.tolist() == [collection.gold[3]]
    assert built.cost.parts["postings"] > 0
    built.close()


@on_servers(SERVER)
def test_elasticsearch_ranks_alike_and_says_itself_where_its_bytes_are(server: Server, collection: Collection) -> None:
    engine = connect(ConnectionSettings(urls=(server.url,)))
    built = build_sparse_vector(Node(server, engine), collection, TERMS, asked=(Asking("table", 5),))
    assert_best(built, 0, scores(collection.table_queries, collection))
    assert built.cost.parts["postings of terms"] > PICTURES * TERMS
    assert all(size >= 0 for size in built.cost.parts.values())
    built.close()
    engine.close()
