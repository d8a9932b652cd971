"""What was measured is kept raw, and everything that is reported follows from it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.versus.collection import Collection, Origin
from benchmarks.versus.comparisons import chosen_way, contests, targets, where_dense_wins
from benchmarks.versus.growth import grow
from benchmarks.versus.measure import Plan, measure
from benchmarks.versus.report import report_text, write_report
from benchmarks.versus.results import fastest, load_results, named, rows
from benchmarks.versus.scaling import measured_shard, scaling_text
from benchmarks.versus.system import Built
from lexlip_es.errors import LexlipError
from tests.unit.versus_systems import TERMS, flat, pruned, sharded, small_collection

PLAN = Plan(queries=6, rounds=2, throughput_rounds=1, seconds=0.002, right=12)
SIZES = (60, 240)
Result = dict[str, Any]


def _measured(size: int, origin: Origin = "dense twin", shards: Sequence[int] = ()) -> Result:
    collection = small_collection(size, origin=origin)
    builds = [flat, lambda it: pruned(it, 8), lambda it: pruned(it, TERMS)]
    builds += [lambda it, count=count: sharded(it, TERMS, count) for count in shards]
    encoders: Any = {"table": lambda text: text.upper(), "tower": lambda text: text.lower()}
    return measure(collection, builds, PLAN, command="measure", encoders=encoders)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """As they are read from files."""
    folder = tmp_path_factory.mktemp("raw")
    for size in SIZES:
        (folder / f"{size}.json").write_text(json.dumps(_measured(size, shards=(2,))))
    return load_results(folder.glob("*.json"))


def test_a_raw_result_keeps_what_was_measured_and_on_what(results: list[Result]) -> None:
    result = results[0]
    assert [found["pictures"] for found in results] == list(SIZES)
    assert result["machine"]["cores"] >= 1 and result["machine"]["memory_bytes"] > 1e8 and result["machine"]["cpu"]
    assert {"python", "numpy", "scipy"} <= set(result["versions"])
    assert set(result["load_average"]) == {"before", "after building", "after asking"}
    assert (result["plan"]["seed"], result["command"]) == (0, "measure")
    assert {name: np.shape(ms) for name, ms in result["encoding"].items()} == {"table": (2, 6), "tower": (2, 6)}
    assert [len(system["ways"]) for system in result["systems"]] == [1, 2, 2, 2]
    for row in rows(result):
        assert np.shape(row.way["ms"]) == (2, 6)
        assert set(row.way["queries_per_second"]) == {"1", "2", "4"}
        assert len(row.way["recall_at_k"]) == 6
        assert row.right(10) is not None
        assert (row.took is None) == (row.side == "dense")


def test_rows_tell_what_was_built_and_how_it_was_asked(results: list[Result]) -> None:
    dense, few, _, _, everything, *_ = rows(results[-1])
    assert (dense.family, dense.recall, dense.engine, dense.bytes) == ("FAISS Flat", 1, False, 2048)
    assert few.key == "OpenSearch 0 rank_feature; picture terms 8; tower, query terms 4"
    assert few.engine and few.recall is not None and few.recall < 0.9
    assert everything.recall is not None and everything.recall > 0.95
    assert few.postings == 48 and few.bytes > 48
    assert fastest([dense, few, everything], 0.95) in (dense, everything)
    assert fastest([few], 0.95) is None
    assert named({"rescore": True, "once": False, "M": 16}) == "rescore, M 16"


def test_systems_are_deleted_even_if_one_cannot_be_built() -> None:
    closed: list[str] = []

    def broken(collection: Collection) -> Built:
        raise LexlipError("no room")

    with pytest.raises(LexlipError, match="no room"):
        measure(small_collection(20), [lambda it: flat(it, closed), lambda it: pruned(it, 8, closed), broken], PLAN)
    assert closed == ["OpenSearch 0 rank_feature", "FAISS Flat"]


def test_of_random_vectors_every_row_says_times_only() -> None:
    result = _measured(60, origin="random")
    dense = [row for row in rows(result) if row.side == "dense"]
    assert all(row.times_only and row.recall is None and row.right(1) is None for row in dense)
    assert set(result["exact"]) == {"tower"}
    text = report_text([result], None, [], "report")
    told = [line for line in text.splitlines() if line.startswith("| FAISS Flat")]
    assert len(told) == 3  # by recall, bytes, every way
    assert all("times only" in line for line in told)
    assert "random: times only" in text
    measures = [one.measure.split()[0] for one in contests(result) if one.dense != "not reached"]
    assert measures == ["p50", "queries", "bytes", "seconds"]
    assert "Its vectors are random" in where_dense_wins([result])[0]


def test_the_report_and_its_plots_follow_from_the_results_alone(results: list[Result], tmp_path: Path) -> None:
    costs = {
        "server": "OpenSearch 0",
        "real": {
            "documents": 60,
            "steps": {
                "encode": {"p50": 0.1},
                "body as JSON": {"p50": 0.05},
                "client and engine": {"p50": 3.0},
                "parse": {"p50": 0.1},
                "read hits": {"p50": 0.2},
                "engine's took": {"p50": 2.0},
            },
        },
    }
    first = write_report(results, costs, tmp_path / "one", "report").parent
    again = write_report(results, costs, tmp_path / "two", "report").parent
    names = sorted(path.name for path in first.iterdir())
    assert names == ["README.md", "latency-size.svg", "query-time.svg", "recall-bytes.svg", "recall-latency.svg"]
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes()
    text = (first / "README.md").read_text()
    for name in names[1:]:
        assert f"]({name})" in text
    assert "client and HTTP" in text and "Where dense wins" in text and results[0]["machine"]["cpu"] in text


def _with_ms(result: Result, factor: float, dense: bool) -> Result:
    """The result as if one side had taken longer."""
    changed: Result = json.loads(json.dumps(result))
    for system in changed["systems"]:
        for way in system["ways"]:
            if (way["side"] == "dense") == dense:
                way["ms"] = [[factor] * len(row) for row in way["ms"]]
    return changed


def test_targets_and_where_dense_wins_are_told_either_way(results: list[Result]) -> None:
    slow_dense = [_with_ms(_with_ms(result, 50, True), 2, False) for result in results]
    slow_sparse = [_with_ms(_with_ms(result, 2, True), 50, False) for result in results]
    good, bad = targets(slow_dense, None), targets(slow_sparse, None)
    assert good[0]["met"] == ("yes" if (chosen_way(rows(slow_dense[-1])).recall or 0) >= 0.98 else "no")  # type: ignore[union-attr]
    assert good[0]["measured"].startswith("240 pictures: 25.0 x (50.00 / 2.00 ms)")
    assert bad[0]["met"] == "no" and "0.0 x (2.00 / 50.00 ms)" in bad[0]["measured"]
    assert bad[1]["met"] == "not told"  # no HNSW among them
    assert good[2]["met"] == "yes" and "48 bytes" in good[2]["measured"] and "R@10" in good[2]["measured"]
    dense_wins, engine_wins = (where_dense_wins(some)[-1].split("The engine wins by") for some in (slow_sparse, slow_dense))
    assert "p50 in ms, whatever is found" in dense_wins[0]
    assert "p50 in ms, whatever is found" in engine_wins[1]
    assert next(one.better for one in contests(slow_sparse[-1]) if one.measure.startswith("p50")) == "dense, 25 x"


def test_growth_is_a_power_with_the_spread_of_rounds() -> None:
    random = np.random.default_rng(0)
    exact = grow({size: [0.001 * size**0.8] * 5 for size in (10_000, 100_000, 1_000_000)})
    assert str(exact.overall) == str(exact.last) == "0.80 (0.80 to 0.80)"
    assert exact.line(50_000) == pytest.approx(0.001 * 50_000**0.8)
    assert exact.between(10_000_000) == pytest.approx(0.001 * 10_000_000**0.8)
    assert exact.between(500_000) == pytest.approx(0.001 * 500_000**0.8)
    noisy = grow({size: 0.001 * size * np.exp(0.1 * random.standard_normal(5)) for size in (1_000, 10_000)})
    assert noisy.overall.low < noisy.overall.value < noisy.overall.high
    assert noisy.overall.low < 1 < noisy.overall.high
    fixed = grow({size: [5 + 0.001 * size] * 3 for size in (100, 1_000, 100_000)})
    assert fixed.overall.value < fixed.last.value < 1
    with pytest.raises(ValueError, match="two sizes"):
        grow({10: [1.0]})


def test_scaling_is_written_from_results_with_the_check_of_several_shards(results: list[Result]) -> None:
    linear = [_with_ms(result, result["pictures"] / 10, False) for result in results]
    shard = measured_shard(linear)
    assert shard is not None and shard.row.pictures == 240 and shard.row.shards == 1
    assert shard.growth.last.value == pytest.approx(1)
    assert shard.ms(2_400) == pytest.approx(240)
    text = scaling_text(linear, "report")
    assert text is not None
    assert "| 1,000,000,000 | 240 | 4,166,667 |" in text
    checked = [line for line in text.splitlines() if line.startswith(("| 60 |", "| 240 |"))]
    assert [line.split(" | ")[2] for line in checked] == ["1", "2", "1", "2"]
    assert scaling_text(linear[:1], "report") is None


def test_a_file_that_is_no_result_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"format": 0}')
    (tmp_path / "torn.json").write_text('{"format": ')
    with pytest.raises(LexlipError, match=r"other\.json is no result"):
        load_results([tmp_path / "other.json"])
    with pytest.raises(LexlipError, match=r"torn\.json cannot be read"):
        load_results([tmp_path / "torn.json"])


def test_fewer_queries_than_are_wanted_are_all_asked() -> None:
    collection = small_collection(20, queries=3)
    (system,) = measure(collection, [flat], replace(PLAN, seconds=0))["systems"]
    assert np.shape(system["ways"][0]["ms"]) == (2, 3)
    assert system["ways"][0]["queries_per_second"] == {"1": [], "2": [], "4": []}


def test_where_one_side_was_not_measured_the_other_has_not_won() -> None:
    alone = measure(small_collection(20), [flat], PLAN)
    assert contests(alone) == where_dense_wins([alone]) == []
