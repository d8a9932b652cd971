"""The command's parts that need no server: what is asked, and a report from files."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.versus.__main__ import SMALL_PLAN, main, one_caption_each, parser, write
from benchmarks.versus.measure import Plan, measure
from tests.unit.versus_systems import flat, pruned, small_collection


def test_one_caption_of_each_picture_is_asked_and_the_same_ones_again() -> None:
    collection = small_collection(6, queries=6)
    several = collection.asking([0, 1, 2, 0, 1, 0])
    asked = one_caption_each(several, 3)
    assert sorted(asked.gold.tolist()) == sorted(set(several.gold.tolist()))
    assert asked.texts == one_caption_each(several, 3).texts
    assert len(asked.dense_queries) == 3 and np.isin(asked.gold, several.gold).all()


def test_every_number_of_the_plan_is_an_option() -> None:
    given = ["measure", "--images", "i", "--captions", "c", "--files", "f", "--out", "o", "--rounds", "7", "--seconds", "0.5"]
    options = parser().parse_args([*given, "--without", "elasticsearch", "--without", "seismic"])
    assert (options.rounds, options.seconds, options.throughput_rounds) == (7, 0.5, Plan().throughput_rounds)
    assert options.without == ["elasticsearch", "seismic"]


def test_a_report_and_the_scaling_come_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"{size}.json" for size in (40, 160)]
    plan = Plan(queries=4, rounds=2, seconds=0, right=4)
    for path, size in zip(paths, (40, 160), strict=True):
        write(path, measure(small_collection(size), [flat, lambda it: pruned(it, 20)], plan))
        assert json.loads(path.read_text())["pictures"] == size
    names = [*map(str, paths), "--out", str(tmp_path / "told")]
    main(["report", *names, "--scaling", str(tmp_path / "SCALING.md")])
    assert capsys.readouterr().out.split() == [str(tmp_path / "told" / "README.md"), str(tmp_path / "SCALING.md")]
    assert "1,000,000,000" in (tmp_path / "SCALING.md").read_text()
    with pytest.raises(SystemExit, match="give the results of several"):
        main(["report", str(paths[0]), "--out", str(tmp_path / "told"), "--scaling", str(tmp_path / "none.md")])
    assert SMALL_PLAN.queries < Plan().queries
