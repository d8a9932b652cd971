from collections.abc import Iterator
from typing import Any

import pytest

from lexlip_es.engines import ConnectionSettings, Engine, EngineUnreachableError
from lexlip_es.engines.bulk import bulk
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.engines.retries import RetryPolicy
from lexlip_es.errors import LexlipError
from tests.engine.fault_proxy import Fault, FaultProxy, answering, busy, die, drop, lose

WHERE = {"server": "the server", "index": "pictures"}
BRISK = RetryPolicy(attempts=4, first=0.01)


def documents(n: int) -> list[dict[str, Any]]:
    return [{"_id": str(i), "source": {"terms": {"dog": 1.0 + i}, "path": f"{i}.jpg"}} for i in range(n)]


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[OpenSearchEngine]:
    engine = OpenSearchEngine(ConnectionSettings(urls=(proxy.url,)), loading=BRISK)
    yield engine
    engine.close()


@pytest.mark.parametrize("fault", [answering(429), drop, lose], ids=["429", "drop", "lose"])
def test_a_request_that_fails_twice_is_sent_three_times(
    through: OpenSearchEngine, proxy: FaultProxy, index: str, fault: Fault
) -> None:
    proxy.faults.extend([fault, fault])
    assert [(result.id, result.ok) for result in through.bulk(index, documents(5))] == [(str(i), True) for i in range(5)]
    assert proxy.sent == [["0", "1", "2", "3", "4"]] * 3
    through.refresh(index)
    assert through.count(index) == 5


def test_only_the_documents_that_failed_are_sent_again(through: OpenSearchEngine, proxy: FaultProxy, index: str) -> None:
    proxy.faults.extend([busy, busy])
    assert [(result.id, result.ok) for result in through.bulk(index, documents(5))] == [(str(i), True) for i in range(5)]
    assert proxy.sent == [["0", "1", "2", "3", "4"], ["1", "3"], ["3"]]


def test_a_document_that_stays_unwelcome_is_reported(through: OpenSearchEngine, proxy: FaultProxy, index: str) -> None:
    proxy.faults.extend([busy] * 4)
    last = list(through.bulk(index, documents(16)))[-1]
    assert (last.id, last.ok, last.status, last.error_type) == ("15", False, 429, "rejected_execution_exception")


def test_a_request_that_is_too_large_is_halved(through: OpenSearchEngine, proxy: FaultProxy, index: str) -> None:
    proxy.faults.extend([answering(413)] * 2)
    results = list(through.bulk(index, documents(4)))
    assert all(result.ok for result in results)
    assert proxy.sent == [["0", "1", "2", "3"], ["0", "1"], ["0"], ["1"], ["2", "3"]]
    proxy.faults.append(answering(413))
    assert [(result.ok, result.error_type) for result in through.bulk(index, documents(1))] == [(False, "too_large")]


def test_an_engine_that_dies_during_a_load_ends_it_with_one_sentence(
    through: OpenSearchEngine, proxy: FaultProxy, index: str
) -> None:
    proxy.faults.append(die)
    with pytest.raises(EngineUnreachableError, match=proxy.url):
        list(through.bulk(index, documents(5)))


def test_an_engine_that_stays_overloaded_ends_the_load(through: OpenSearchEngine, proxy: FaultProxy, index: str) -> None:
    proxy.faults.extend([answering(429)] * 4)
    with pytest.raises(LexlipError, match="takes no more for now"):
        list(through.bulk(index, documents(5)))


def test_what_is_wrong_with_a_document_is_in_its_result(engine: Engine, index: str) -> None:
    sources: list[dict[str, Any]] = [
        {"terms": {"dog": 1.0}},
        {"terms": {"dog": 0.0}},
        {"colour": "red"},
        {"terms": {"dog": float("nan")}},
        {"path": "\ud800"},
        {"terms": {"dog": 2.0}},
    ]
    results = list(engine.bulk(index, ({"_id": str(i), "source": source} for i, source in enumerate(sources))))
    assert [result.ok for result in results] == [True, False, False, False, False, True]
    assert [result.error_type for result in results[1:5]] == [
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "not_json",
        "not_json",
    ]
    assert "must be a positive normal float" in str(results[1].reason)
    assert "[colour]" in str(results[2].reason)


@pytest.fixture
def full_disk(engine: Engine, proxy: FaultProxy, index: str) -> Iterator[str]:
    """An index as the server leaves it when its disk reaches the flood stage.

    The server looks at its disk every half minute and lifts the block when there is room, so it is set anew before each request.
    """
    proxy.before_bulk = lambda: engine.put_settings(index, {"index": {"blocks": {"read_only_allow_delete": True}}})
    yield index
    engine.put_settings(index, {"index": {"blocks": {"read_only_allow_delete": None}}})


def test_a_full_disk_ends_the_load_with_one_sentence_at_its_first_chunk(
    through: OpenSearchEngine, proxy: FaultProxy, full_disk: str
) -> None:
    read = []

    def many() -> Iterator[dict[str, Any]]:
        for document in documents(5_000):
            read.append(document["_id"])
            yield document

    with pytest.raises(LexlipError, match=r"flood-stage.*: free disk space there or lift the block, then go on\.$") as error:
        list(through.bulk(full_disk, many()))
    assert "\n" not in str(error.value)
    assert len(proxy.sent) == BRISK.attempts
    assert len(read) == 1_001


def test_a_block_that_somebody_set_is_told_at_once(
    through: OpenSearchEngine, proxy: FaultProxy, engine: Engine, index: str
) -> None:
    engine.put_settings(index, {"index": {"blocks": {"write": True}}})
    with pytest.raises(LexlipError, match="lift the block"):
        list(through.bulk(index, documents(5)))
    assert len(proxy.sent) == 1


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (401, "security_exception", "LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD"),
        (403, "security_exception", "this user may not do that"),
        (403, "made_up_by_a_plugin", "this user may not do that"),
        (500, "security_exception", "this user may not do that"),
        (404, "index_not_found_exception", "no index 'pictures'"),
    ],
)
def test_what_is_refused_to_all_documents_is_raised_once(status: int, kind: str, sentence: str) -> None:
    sent = []

    def send(lines: bytes) -> dict[str, Any]:
        sent.append(lines)
        item = {"status": status, "error": {"type": kind, "reason": "no permissions"}}
        return {"items": [{"index": item}] * (lines.count(b"\n") // 2)}

    with pytest.raises(LexlipError, match=sentence):
        list(bulk(send, documents(25), chunk_documents=10, **WHERE))
    assert len(sent) == 1


class Sent:
    """A `send` that accepts everything and remembers the sizes."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, lines: bytes) -> dict[str, Any]:
        n = lines.count(b"\n") // 2
        self.counts.append(n)
        return {"items": [{"index": {"status": 201}}] * n}


def test_chunks_keep_to_documents_and_bytes() -> None:
    sent = Sent()
    list(bulk(sent, documents(25), chunk_documents=10, **WHERE))
    assert sent.counts == [10, 10, 5]
    sent = Sent()
    big: dict[str, Any] = {"_id": "big", "source": {"path": "x" * 1000}}
    list(bulk(sent, [*documents(3), big, *documents(2)], chunk_bytes=500, **WHERE))
    assert sent.counts == [3, 1, 2]


def test_documents_are_read_no_further_than_results_are_taken() -> None:
    read = []

    def slowly() -> Iterator[dict[str, Any]]:
        for document in documents(100):
            read.append(document["_id"])
            yield document

    results = bulk(Sent(), slowly(), chunk_documents=10, **WHERE)
    next(results)
    assert len(read) == 11
    assert len(list(results)) == 99
