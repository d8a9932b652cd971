import json

import pytest

from lexlip_es.cli.common import answer

STEERING = "\x1b[2J \x07 \x7f \x9b31m \x85 \u202egpj.exe\u202c \u2066 \u200b \ue000 \U000e0041 caf\udce9 \u2028 \n \t"


def test_json_for_a_terminal_has_nothing_that_could_steer_it_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    data = {f"key {STEERING}": [f'Grüße \U0001f600 \\ " {STEERING}', 1.5, None], "b": {}}
    answer(data)
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(shown) == data
    assert "Grüße \U0001f600" in shown
    for escape in ("\\u007f", "\\u009b", "\\u202e", "\\udb40\\udc41"):
        assert escape in shown


def test_json_without_such_signs_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"path": "a/日本.jpg", "terms": [{"term": "dog", "weight": 0.5}], "none": []}
    answer(data)
    assert capsys.readouterr().out == json.dumps(data, indent=2, ensure_ascii=False) + "\n"
