from pathlib import Path

import pytest

from lexlip_es.errors import LexlipError
from lexlip_es.labels import read_labels

EXPECTED = {"a.jpg": "dog", "sub/b.jpg": "hot dog, big"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", 'image,label\na.jpg,dog\n\n./sub/b.jpg,"hot dog, big"\n'),
        ("labels.tsv", "\ufeffLabel\tsource\tfile_name\r\ndog\tweb\ta.jpg\r\nhot dog, big\tweb\tsub/b.jpg\r\n"),
        ("labels.jsonl", '{"file": "a.jpg", "label": "dog"}\n\n{"label": "hot dog, big", "path": "sub/b.jpg"}\n'),
    ],
)
def test_every_format_reads_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_labels(tmp_path / name) == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a CSV or TSV header"),
        ("image,caption\na.jpg,dog\n", "line 1: expected a CSV or TSV header"),
        ("image,label\n", "holds no labels"),
        ("image,label\na.jpg,dog\nb.jpg\n", "line 3: expected 2 fields"),
        ("image,label\na.jpg,\n", "line 2: .* one of them is empty"),
        ("image,label\na.jpg,dog\n./a.jpg,cat\n", "line 3: a.jpg is labelled both 'dog' and 'cat'"),
        ('image,label\n"a.jpg,dog\n', "this is no row of a table"),
        ('{"image": "a.jpg", "label": 3}', "line 1: expected an object"),
        ('{"image": "a.jpg"', "line 1: expected one JSON object a line"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(LexlipError, match=message):
        read_labels(path)
    with pytest.raises(LexlipError, match="cannot be read"):
        read_labels(tmp_path / "nowhere.csv")
