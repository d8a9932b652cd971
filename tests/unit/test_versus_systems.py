"""The systems of this process find what they should, and say what they take."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.made_documents import made_file, number_of
from benchmarks.versus.agreement import exact, recall_at
from benchmarks.versus.caption_systems import indexed_captions
from benchmarks.versus.collection import Collection
from benchmarks.versus.disk import apart
from benchmarks.versus.faiss_systems import build_flat, build_hnsw, build_ivf_pq
from benchmarks.versus.product_systems import build_product, build_seismic
from benchmarks.versus.system import Built, Way
from benchmarks.versus.systems import MILLION, WHOLE, compared_at
from lexlip_es.weights import prepare_documents, prepare_queries, reference_scores
from tests.unit.versus_systems import small_collection

PICTURES, QUERIES, K = 300, 20, 10


@pytest.fixture(scope="module")
def collection() -> Collection:
    return small_collection(PICTURES, queries=QUERIES)


def recall(way: Way, collection: Collection) -> float:
    asker = way.asker()
    answers = [asker.ask(query, K).ids for query in range(QUERIES)]
    asker.close()
    return float(recall_at(K, answers, exact(collection, way.side, range(QUERIES), K)).mean())


def test_flat_is_exact_and_its_bytes_are_the_vectors(collection: Collection, tmp_path: Path) -> None:
    flat = build_flat(collection, tmp_path, 1)
    (way,) = flat.ways()
    assert recall(way, collection) == 1
    assert flat.cost.parts["vectors"] == collection.dense.nbytes
    assert flat.cost.bytes == sum(file.stat().st_size for file in tmp_path.glob("*.faiss"))


def test_a_graph_finds_more_the_longer_it_searches(collection: Collection, tmp_path: Path) -> None:
    graph = build_hnsw(collection, tmp_path, 1, links=8, ef_construction=40, efs=(10, 200))
    little, much = (recall(way, collection) for way in graph.ways())
    assert little <= much and much > 0.95
    assert [dict(way.parameters) for way in graph.ways()] == [{"efSearch": 10}, {"efSearch": 200}]
    assert graph.cost.parts["links, lists"] > 0


def test_compressed_lists_find_some_and_keep_so_many_bytes(collection: Collection, tmp_path: Path) -> None:
    lists = build_ivf_pq(collection, tmp_path, 1, code_bytes=8, lists=4, nprobes=(1, 4, 64))
    few, all_of_them = (recall(way, collection) for way in lists.ways())  # no more probes than lists
    assert few <= all_of_them and all_of_them > 0.2
    assert lists.cost.parts["codes"] == 8 * PICTURES


def test_an_index_that_has_a_file_is_not_built_again(collection: Collection, tmp_path: Path) -> None:
    first = build_hnsw(collection, tmp_path, 1, links=8, ef_construction=40)
    again = build_hnsw(collection, tmp_path, 1, links=8, ef_construction=40)
    assert again.cost.seconds == first.cost.seconds
    build_hnsw(small_collection(PICTURES, queries=QUERIES, seed=1), tmp_path, 1, links=8, ef_construction=40)
    assert len([*tmp_path.glob("*.faiss")]) == 2


def test_the_product_answers_the_best_of_the_reference_scores(collection: Collection) -> None:
    built: Built = build_product(collection, 8, query_terms=(3,))
    scores = reference_scores(prepare_queries(collection.table_queries, 3), prepare_documents(collection.pictures, 8))
    (way,) = built.ways()
    for query in range(QUERIES):
        found = way.asker().ask(query, K).ids
        expected = np.sort(scores[query])[::-1][:K]
        np.testing.assert_allclose(scores[query][found], expected[expected > 0], rtol=1e-6)
    assert built.cost.parts["weights"] == 4 * len(prepare_documents(collection.pictures, 8).terms)


def test_seismic_finds_what_its_terms_allow(collection: Collection) -> None:
    built = build_seismic(collection, 20, 1, cuts=((2, 0.9), (9, 1.0)))
    little, much = (recall(way, collection) for way in built.ways())
    assert little <= much and much > 0.9
    assert built.cost.bytes > 0


def test_a_caption_that_is_asked_is_not_indexed(collection: Collection) -> None:
    picture = int(collection.gold[0])
    captions = [[f"about {i}", "again"] for i in range(PICTURES)]
    captions[picture] = ["text 0", "another", "one more"]
    kept = indexed_captions(collection, captions)
    assert kept[picture] == ["another", "one more"]
    assert sum(map(len, kept)) == 2 * PICTURES


def test_parts_add_up_to_the_whole() -> None:
    whole = {"postings": 100, "dictionary": 30, "stored": 500, "other": 7}
    parts = apart(whole, {"postings": 80, "dictionary": 10})
    assert parts["postings of terms"] == 80 and parts["other postings"] == 20
    assert sum(parts.values()) == sum(whole.values())


def test_a_made_documents_path_says_its_number() -> None:
    assert [number_of(made_file(i).display_path) for i in (0, 7, 123_456)] == [0, 7, 123_456]


def test_a_million_pictures_are_compared_with_less() -> None:
    assert compared_at(1_000_000) == MILLION and compared_at(100_000) == WHOLE
    assert len(MILLION.graphs) < len(WHOLE.graphs)
