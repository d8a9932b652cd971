import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.documents import (
    ancestors,
    bulk_action,
    document_again,
    document_id,
    name_words,
    picture_document,
    said_fields,
    text_document,
)
from lexlip_es.entries import Found, LocalFile
from lexlip_es.images import Picture
from lexlip_es.lexicon import Lexicon
from lexlip_es.mappings import index_body
from lexlip_es.sources import Extras
from lexlip_es.weights import SparseWeights, prepare_documents, truncate

LEXICON = Lexicon(["[PAD]", "[CLS]", "dog", "##dog", ".", "...", "%", "beach", "日", "##."])
PLACE: dict[str, Any] = {"collection": "/photos", "root": "/photos", "said": {}}
PICTURE = Picture(np.zeros((2, 2, 3), np.uint8), 640, 480, taken_at="2024-07-01T12:00:00+02:00", camera="Fuji X100")


def found(relative: bytes = b"a/b/dog.jpg") -> Found:
    return Found(LocalFile(Path("/photos/dog.jpg")), relative, 1234, "2026-01-31T12:00:00.000Z")


rows = st.dictionaries(
    st.integers(0, len(LEXICON) - 1), st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=len(LEXICON)
)


@given(rows)
def test_any_weights_make_a_document_that_an_engine_accepts(row: dict[int, float]) -> None:
    weights = prepare_documents(SparseWeights.from_rows([(list(row), list(row.values()))]), 5)
    document = picture_document(found(), PICTURE, "ab" * 32, weights.row(0), LEXICON, **PLACE)
    read = json.loads(json.dumps(document, allow_nan=False))
    assert len(read["terms"]) == read["n_terms"] <= 5
    for name, weight in read["terms"].items():
        assert name and "." not in name
        assert weight >= 1.17549435e-38
        assert weight == float(truncate(np.float32([weight]))[0]) == float(np.float32(weight))


@given(st.binary(min_size=1).filter(lambda path: b"\0" not in path))
def test_any_path_makes_a_document_of_plain_text(path: bytes) -> None:
    document = picture_document(found(path), PICTURE, "ab" * 32, (np.int32([2]), np.float32([1])), LEXICON, **PLACE)
    assert json.loads(json.dumps(document).encode("utf-8")) == document


def test_a_document_has_the_fields_of_the_contract_and_no_other() -> None:
    row = prepare_documents(SparseWeights.from_rows([([2, 3, 7], [2.0, 1.0, 1.5])]), 64).row(0)
    document = picture_document(found(), PICTURE, "ab" * 32, row, LEXICON, **(PLACE | {"said": {"caption": ["a dog"]}}))
    assert document["top_terms"] == ["dog", "beach"]  # readable, heaviest first, without repeats
    assert list(document["terms"]) == ["dog", "beach", "##dog"]
    assert (document["folder"], document["name"]) == (["a", "a/b"], "dog")
    assert document["duplicate_group"] == document["content_hash"] == "ab" * 32
    assert (document["width"], document["height"], document["file_size"]) == (640, 480, 1234)
    assert document["taken_at"] == "2024-07-01T12:00:00+02:00"
    assert set(document) <= set(index_body({})["mappings"]["properties"])


def test_the_words_of_a_file_s_name_are_what_signs_and_digits_part() -> None:
    names = {
        "a/IMG_0042-red.car.jpeg": "IMG 0042 red car",
        "été 日本": "été 日本",
        "e\u0301te\u0301_हिन्दी.png": "été हिन्दी",
        ".hidden": "hidden",
        "a.b/": "",
        "%FFx.png": "FFx",
    }
    assert {path: name_words(path) for path in names} == names


def test_what_is_unknown_is_absent_instead_of_null() -> None:
    plain = Picture(np.zeros((2, 2, 3), np.uint8), 1, 1)
    document = picture_document(found(b"dog.jpg"), plain, "ab" * 32, (np.int32([2]), np.float32([1])), LEXICON, **PLACE)
    assert not {"folder", "taken_at", "camera", "caption", "location", "tags"} & set(document)
    assert None not in document.values()


def test_a_picture_at_another_place_keeps_what_its_content_says() -> None:
    row = (np.int32([2]), np.float32([1]))
    said = {"caption": ["a dog"], "tags": ["x"]}
    first = picture_document(found(), PICTURE, "ab" * 32, row, LEXICON, **(PLACE | {"said": said}))
    moved = found(b"top.jpg")
    again = document_again(first, moved, collection="c", root="/other", said=None)
    assert again == picture_document(moved, PICTURE, "ab" * 32, row, LEXICON, collection="c", root="/other", said=said)
    silent = document_again(first, moved, collection="c", root="/other", said=said_fields(Extras(tags=("y",))))
    assert (silent.get("caption"), silent["tags"]) == (None, ["y"])


def test_where_a_picture_was_taken_is_a_point() -> None:
    home = Picture(np.zeros((2, 2, 3), np.uint8), 1, 1, location=(52.5, 13.4))
    document = picture_document(found(), home, "ab" * 32, (np.int32([2]), np.float32([1])), LEXICON, **PLACE)
    assert document["location"] == {"lat": 52.5, "lon": 13.4}


def test_the_id_is_a_hash_of_collection_and_path_bytes() -> None:
    assert document_id("c", b"a.jpg") == hashlib.sha256(b"c\0a.jpg").hexdigest()[:32]
    assert document_id("c", b"a.jpg") != document_id("ca", b".jpg")
    assert re.fullmatch("[0-9a-f]{32}", document_id("c", b"\xff\xfe"))


def test_every_folder_above_a_picture_is_named() -> None:
    assert ancestors("x.jpg") == []
    assert ancestors("2024/07/beach/x.jpg") == ["2024", "2024/07", "2024/07/beach"]


def test_a_text_document_carries_its_text() -> None:
    document = text_document("dog.jpg#0", "a dog", (np.int32([2]), np.float32([1])), LEXICON, collection="c")
    assert document["caption"] == ["a dog"] and document["path"] == "dog.jpg#0"
    assert set(document) <= set(index_body({})["mappings"]["properties"])


def test_a_bulk_line_is_refused_by_the_engine_where_the_alias_is_missing() -> None:
    assert bulk_action("pictures", "ab")["index"]["require_alias"] is True
