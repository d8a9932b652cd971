"""Tables and folders as sources: what is read of each row, and that no value is ever lost in silence."""

import json
import math
import sys
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from lexlip_es.entries import Found, Skipped
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.sources import Extras, PictureSource, open_picture_source
from lexlip_es.sources.columns import Misfit, read_extras, read_schema

NESTED = json.loads("[" * 800 + "]" * 800)
META = ["sku:keyword", "story:text", "Stock:long", "price:double", "made:date", "sold:boolean"]


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def found(source: PictureSource) -> dict[str, Extras]:
    return {entry.display_path: source.extras(entry) for entry in source.entries() if isinstance(entry, Found)}


def skipped(source: PictureSource) -> dict[str, str]:
    return {entry.display_path: entry.reason for entry in source.entries() if isinstance(entry, Skipped)}


# -- formats

ROW = {
    "path": "sub/a.jpg",
    "Caption": "a shoe",
    "tags": "red; leather",
    "sku": "0012",
    "story": "long, indeed",
    "stock": "7",
    "PRICE": "9.50",
    "made": "2026-01-31",
    "sold": "yes",
    "undeclared": "x",
}
READ = Extras(
    ("a shoe",),
    ("red", "leather"),
    {"sku": "0012", "story": "long, indeed", "Stock": 7, "price": 9.5, "made": "2026-01-31", "sold": True},
)


def as_csv(delimiter: str) -> str:
    def spelled(text: str) -> str:
        return f'"{text}"' if delimiter in text else text

    return "\n".join(delimiter.join(map(spelled, line)) for line in (ROW, ROW.values())) + "\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", as_csv(",")),
        ("t.csv", as_csv(";")),
        ("T.TSV", as_csv("\t")),
        ("t.csv", "\ufeff\n" + as_csv(",")),
        ("t.jsonl", json.dumps(ROW) + "\n\n"),
        ("t.json", json.dumps([ROW], indent=1)),
        ("t.ndjson", json.dumps(ROW | {"tags": ["red", "leather", "red", None], "stock": 7, "PRICE": 9.5, "sold": True})),
        ("t.parquet", ""),
    ],
)
def test_every_format_of_a_table_says_the_same(name: str, content: str, tmp_path: Path) -> None:
    pictures(tmp_path, "sub/a.jpg")
    if name.endswith("parquet"):
        columns: dict[str, list[Any]] = {key: [value] for key, value in ROW.items()}
        columns |= {
            "tags": [["red", "leather"]],
            "stock": [7],
            "PRICE": [Decimal("9.50")],
            "made": [date(2026, 1, 31)],
            "sold": [True],
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / name)
    else:
        written(tmp_path / name, content)
    source = open_picture_source(str(tmp_path / name), meta=META)
    assert (source.root, source.complete) == (str(tmp_path / name), True)
    assert source.meta_schema["Stock"] == "long"
    assert found(source) == {"sub/a.jpg": READ}
    assert skipped(source) == {} and source.notes() == []


def test_parquet_s_own_times_and_holes_are_read(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    nanoseconds = pyarrow.array([1_700_000_000_123_456_789, None], pyarrow.timestamp("ns"))
    zoned = pyarrow.array([datetime(2026, 1, 31, 12, tzinfo=UTC), None])
    stock = pyarrow.array([math.nan, 3.0])
    table = pyarrow.table({"file": ["a.jpg", "b.jpg"], "at": nanoseconds, "zoned": zoned, "stock": stock})
    parquet.write_table(table, tmp_path / "t.parquet")
    source = open_picture_source(str(tmp_path / "t.parquet"), meta=["at:date", "zoned:date", "stock:long"])
    assert found(source) == {
        "a.jpg": Extras(meta={"at": "2023-11-14T22:13:20.123456", "zoned": "2026-01-31T12:00:00+00:00"}),
        "b.jpg": Extras(meta={"stock": 3}),
    }


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pyarrow.table({"file": ["a.jpg"]}), tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LexlipError, match=r"pip install 'lexlip-es\[parquet\]'"):
        open_picture_source(str(tmp_path / "t.parquet"))


# -- rows


def test_rows_of_one_picture_add_up(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    rows = "image,caption,tags,price\na.jpg,one,x,\nb.jpg,other,,2\n./a.jpg,two,y,1\na.jpg,one,x,1\n"
    source = open_picture_source(str(written(tmp_path / "t.csv", rows)), meta=["price:double"])
    assert found(source) == {
        "a.jpg": Extras(("one", "two"), ("x", "y"), {"price": 1.0}),
        "b.jpg": Extras(("other",), (), {"price": 2.0}),
    }


def test_rows_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    source = open_picture_source(str(written(tmp_path / "t.csv", "image,price\na.jpg,1\na.jpg,2\n")), meta=["price:double"])
    assert skipped(source) == {"a.jpg": "t.csv, line 3, column price: another row of this picture says something else."}
    assert found(source) == {}


def test_a_value_that_does_not_fit_is_told_with_row_and_column(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    source = open_picture_source(str(written(tmp_path / "t.csv", "image,price\na.jpg,cheap\nb.jpg,2\n")), meta=["price:double"])
    assert skipped(source) == {"a.jpg": "t.csv, line 2, column price: 'cheap' is no double."}
    assert list(found(source)) == ["b.jpg"]


def test_rows_without_a_picture_and_pictures_that_are_not_there_are_told(tmp_path: Path) -> None:
    pictures(tmp_path / "t", "a.jpg")
    rows = "\n".join(
        json.dumps(row)
        for row in ({"path": "a.jpg"}, {"path": " "}, {"x": 1}, {"path": 3}, {"path": "gone.jpg"}, {"path": "../t/a.jpg"})
    )
    source = open_picture_source(str(written(tmp_path / "t/t.jsonl", rows)))
    reasons = [("", f"t.jsonl, line {n}: the row names no picture file.") for n in (2, 3, 4)]
    reasons += [("gone.jpg", "The file does not exist (any more)."), ("../t/a.jpg", "The name leads out of the folder.")]
    assert [(entry.display_path, entry.reason) for entry in source.entries() if isinstance(entry, Skipped)] == reasons
    assert list(found(source)) == ["a.jpg"]


def test_paths_are_relative_to_the_folder_of_pictures_or_within_it(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", "a.jpg", "b.odd")
    table = written(tmp_path / "t.csv", f"file\n{folder}/a.jpg\nb.odd\n/etc/passwd\n")
    source = open_picture_source(str(table), paths_below=folder)
    assert list(found(source)) == ["a.jpg", "b.odd"]
    assert skipped(source) == {"/etc/passwd": "The name leads out of the folder."}
    with pytest.raises(LexlipError, match="does not exist"):
        open_picture_source(str(table), paths_below=tmp_path / "gone")


def test_names_are_found_however_their_marks_are_composed_or_their_bytes_escaped(tmp_path: Path) -> None:
    composed = "caf\u00e9.jpg"
    pictures(tmp_path, unicodedata.normalize("NFD", composed), "100%.jpg")
    (tmp_path / "odd\udce9.jpg").touch()
    source = open_picture_source(
        str(written(tmp_path / "t.csv", f"file,caption\n{composed},one\n100%.jpg,two\nodd%E9.jpg,three\n"))
    )
    assert [extras.captions for extras in found(source).values()] == [("one",), ("two",), ("three",)]
    assert skipped(source) == {}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "image,price\n", "names no pictures"),
        ("t.csv", "url,price\na,1\n", "line 1: expected a CSV or TSV header with a column for the picture's path"),
        ("t.csv", "image,cost\na.jpg,1\n", "has no column price: it has cost, image"),
        ("t.csv", "image,price\na.jpg\n", "line 2: expected 2 fields"),
        ("t.jsonl", '{"image": "a.jpg"}\n', "has no column price"),
        ("t.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("t.json", "{}", "expected a JSON list of objects"),
        ("t.json", "[" * 500 + "]" * 500, "item 1: expected a JSON object, and found"),
        ("t.csv", 'image,price,"x\ny",z\na.jpg,1,2,3\n', "line 1: a column's name goes over several lines"),
        ("t.parquet", "not that", "cannot be read as Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_at_once(name: str, content: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match=sentence):
        open_picture_source(str(written(tmp_path / name, content)), meta=["price:double"])


# -- typed columns


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("keyword", 12, "12"),
        ("keyword", True, "true"),
        ("keyword", ["a", None, " ", "b"], ["a", "b"]),
        ("long", "-9223372036854775808", -(1 << 63)),
        ("long", 7.0, 7),
        ("double", "1e3", 1000.0),
        ("double", ".5", 0.5),
        ("double", 3, 3.0),
        ("date", "2026", "2026"),
        ("date", "2026-12", "2026-12"),
        ("date", "2026-01-31 12:30", "2026-01-31T12:30:00"),
        ("date", "2026-01-31T12:30:00Z", "2026-01-31T12:30:00+00:00"),
        ("date", "2026-01-31T12:30:00.5+01:00", "2026-01-31T12:30:00.500000+01:00"),
        ("boolean", "FALSE", False),
        ("boolean", 1, True),
        ("text", "  spaced ", "spaced"),
    ],
)
def test_values_become_what_their_column_holds(kind: str, value: object, wanted: object) -> None:
    assert read_extras({"c": value}, {"C": kind}).meta == {"C": wanted}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("keyword", "k" * 32_767),
        ("keyword", {"a": 1}),
        ("text", "\ud800"),
        ("long", "1.5"),
        ("long", 1.5),
        ("long", "9223372036854775808"),
        ("long", True),
        ("long", "1_000"),
        ("long", "٣"),
        ("long", {}),
        ("double", "nan"),
        ("double", "inf"),
        ("double", math.inf),
        ("double", "1,5"),
        ("double", True),
        ("date", "31.1.2026"),
        ("date", "2026-02-30"),
        ("date", "2026-13"),
        ("date", 1_700_000_000),
        ("date", "20260131"),
        ("boolean", "perhaps"),
        ("boolean", 2),
        ("boolean", [True, "perhaps"]),
        ("keyword", [["a"]]),
        ("long", [1, NESTED]),
        ("text", {"a": NESTED}),
    ],
)
def test_values_that_do_not_fit_are_never_bent(kind: str, value: object) -> None:
    with pytest.raises(Misfit, match=f"^column c: .* is no {kind}.*\\.$"):
        read_extras({"c": value}, {"c": kind})


@pytest.mark.parametrize("said", [NESTED, {"a": NESTED}])
def test_a_caption_that_is_a_list_of_lists_is_a_sentence(said: object) -> None:
    with pytest.raises(Misfit, match=r"^column caption: .* is no text\.$"):
        read_extras({"caption": said}, {})


@pytest.mark.parametrize("value", [None, "", "  ", math.nan, [], [None]])
def test_nothing_is_left_out(value: object) -> None:
    for kind in ("keyword", "long", "date"):
        assert read_extras({"c": value, "tags": value, "caption": value}, {"c": kind}) == Extras()


def test_a_declared_column_is_not_a_caption_or_a_tag_too() -> None:
    row = {"title": "Shoe", "text": "said", "tags": "a,b"}
    assert read_extras(row, {"title": "keyword", "tags": "keyword"}) == Extras(("said",), (), {"title": "Shoe", "tags": "a,b"})
    assert read_extras(row, {}).captions == ("Shoe",)


@pytest.mark.parametrize("wrong", ["price", "price:money", ":long", "a.b:long", "_id:long", "Price:long"])
def test_a_declaration_that_means_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        read_schema(["price:double", wrong])


# -- folders


def test_a_folder_is_a_source_with_captions(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", "a.jpg", "no/b.jpg")
    captions = written(tmp_path / "c.csv", "image,caption\na.jpg,one\ngone.jpg,two\nno/b.jpg,three\n")
    source = open_picture_source(str(folder), captions=captions, exclude=["no/"])
    assert (source.root, source.complete, source.meta_schema) == (str(folder), True, {})
    assert found(source) == {"a.jpg": Extras(("one",))}
    assert source.notes() == [
        "2 of 3 captioned pictures were not found, gone.jpg among them: "
        "names in the captions file are relative to the folder of pictures."
    ]
    assert found(source) == {"a.jpg": Extras(("one",))}  # once more


def test_a_list_is_a_source_from_whose_gaps_nothing_follows(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", "a.jpg", "b.jpg")
    source = open_picture_source(
        str(folder),
        files=written(tmp_path / "list", "b.jpg\n"),
        captions=written(tmp_path / "c.csv", "image,caption\na.jpg,one\n"),
    )
    assert not source.complete
    assert list(found(source)) == ["b.jpg"] and source.notes() == []


def test_an_empty_or_missing_folder_is_told_when_it_is_opened(tmp_path: Path) -> None:
    for name in (".", "gone"):
        with pytest.raises(LexlipError, match=r"holds no pictures|does not exist"):
            open_picture_source(str(tmp_path / name))


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="meta does not go with a folder"):
        open_picture_source(str(tmp_path), meta=["a:long"])
    with pytest.raises(UsageError, match="captions does not go with a table"):
        open_picture_source(str(tmp_path / "t.csv"), captions=tmp_path)
