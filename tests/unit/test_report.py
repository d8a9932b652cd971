import json

import pytest

from lexlip_es.report import Report

BAD = ("a.jpg", "The file is empty.")


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (Report(indexed=2), 0),
        (Report(indexed=2, skipped=[BAD]), 3),
        (Report(indexed=2, failed=[BAD]), 3),
        (Report(failed=[BAD]), 1),
        (Report(failed=[BAD], unchanged=7), 3),
        (Report(indexed=2, skipped=[BAD], interrupted=True), 130),
    ],
)
def test_the_exit_code_says_how_a_run_ended(report: Report, code: int) -> None:
    assert report.exit_code == code


def test_a_run_that_took_no_time_divides_by_nothing() -> None:
    assert Report().per_second == 0
    assert "nothing to do" in Report().summary()


def test_the_summary_counts_what_was_done_and_leaves_out_what_was_not() -> None:
    report = Report(added=2, moved=1, unchanged=5, skipped=[BAD], indexed=3, total_seconds=1.5)
    assert report.summary().startswith("2 added, 1 moved, 5 unchanged, 1 left out in 1.5 s, 2.0 a second")
    report.dry_run = True
    assert report.summary() == "2 added, 1 moved, 5 unchanged, 1 left out: nothing was written, as this was a dry run"


def test_the_report_is_json_with_every_reason() -> None:
    read = json.loads(json.dumps(Report(indexed=1, skipped=[BAD], total_seconds=2.0).to_json()))
    assert read["skipped"] == [{"path": "a.jpg", "reason": "The file is empty."}]
    assert read["per_second"] == 0.5
