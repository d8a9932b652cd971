import json
import os
import threading
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexlip_es.captions import Captions, Text, read_captions, read_names, read_texts
from lexlip_es.entries import Found
from lexlip_es.errors import LexlipError
from lexlip_es.finding import find_pictures

DOGS = {"a.jpg": ["A dog, running.", 'A "good" dog'], "b.jpg": ["Zwei Hunde 🐕"]}


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


CSV = 'image,caption\na.jpg,"A dog, running."\nb.jpg,Zwei Hunde 🐕\na.jpg,"A ""good"" dog"\n'
AS_JSON = [{"file": file, "captions": said} for file, said in DOGS.items()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", CSV),
        ("c.txt", CSV),
        ("no-extension", CSV),
        ("bom.csv", "\ufeff" + CSV),
        ("windows.csv", CSV.replace("\n", "\r\n")),
        ("loud.CSV", CSV.replace("image,caption", " FileName , Caption ")),
        ("late.csv", "\n\n" + CSV),
        ("spaced.csv", CSV.replace("\nb.jpg", "\n\nb.jpg") + "\n\n"),
        ("other.csv", 'id,title,path\n1,"A dog, running.",a.jpg\n2,Zwei Hunde 🐕,b.jpg\n3,"A ""good"" dog",a.jpg\n'),
        ("excel.csv", CSV.replace("dog, ", "dog# ").replace(",", ";").replace("#", ",")),
        ("c.tsv", 'file\ttext\na.jpg\tA dog, running.\na.jpg\tA "good" dog\nb.jpg\tZwei Hunde 🐕\n'),
        ("list.json", json.dumps(AS_JSON)),
        ("pretty.json", json.dumps(AS_JSON, indent=1, ensure_ascii=False)),
        ("list.txt", json.dumps(AS_JSON)),
        ("c.jsonl", "\n".join(map(json.dumps, AS_JSON)) + "\n\n"),
        ("c.ndjson", "".join(json.dumps({"IMAGE": f, "caption": c}) + "\n" for f, said in DOGS.items() for c in said)),
        ("jsonl.txt", "\ufeff" + "\n".join(map(json.dumps, AS_JSON))),
    ],
)
def test_all_formats_say_the_same(name: str, content: str, tmp_path: Path) -> None:
    captions = read_captions(written(tmp_path / name, content))
    assert captions == DOGS
    assert list(captions) == ["a.jpg", "b.jpg"]


def test_a_caption_may_go_over_lines_and_errors_after_it_name_the_right_line(tmp_path: Path) -> None:
    path = written(tmp_path / "c.csv", 'image,caption\na.jpg,"one\ntwo"\nb.jpg,three\n')
    assert read_captions(path) == {"a.jpg": ["one\ntwo"], "b.jpg": ["three"]}
    path = written(tmp_path / "c.csv", 'image,caption\na.jpg,"one\ntwo"\nb.jpg,three,four\n')
    with pytest.raises(LexlipError, match=r"c.csv, line 4: expected 2 fields"):
        read_captions(path)


def test_blank_captions_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "c.csv", "image,caption\na.jpg,\na.jpg,words\nb.jpg,   \n")
    assert read_captions(path) == {"a.jpg": ["words"]}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("c.csv", "", "c.csv is empty"),
        ("c.csv", " \n\n", "c.csv is empty"),
        ("c.csv", "image,caption\n", "holds no captions"),
        (
            "c.csv",
            "a.jpg,A dog\n",
            r"line 1: expected a CSV or TSV header .*image, file, .* caption, title or text.*'a.jpg,A dog'",
        ),
        ("c.csv", "caption\nA dog\n", "line 2: expected the picture's file name"),
        ("c.csv", "image,caption\na.jpg,A dog, running\n", "line 2: expected 2 fields, .* found 3; put a text that holds a ','"),
        ("c.tsv", "image\tcaption\na.jpg\n", "line 2: expected 2 fields, .* found 1"),
        ("c.csv", "image,caption\n,A dog\n", "line 2: expected the picture's file name and found nothing"),
        ("c.csv", 'image,caption\na.jpg,x\nb.jpg,"A dog\nc.jpg,y\n', "line 3: a double quote is not closed"),
        ("c.csv", 'image,caption\na.jpg,"A" dog\n', "line 2: a double quote"),
        ("c.csv", 'image,caption\na.jpg,"' + "long " * 30_000 + '"\n', "longer than 131,072 characters"),
        ("c.csv", b"image,caption\na.jpg,caf\xe9\n", "line 2: this is not UTF-8"),
        ("c.csv", "image,caption\n".encode("utf-16"), "line 1: this is not UTF-8"),
        ("c.json", "[{]", "line 1: this is not JSON"),
        ("c.json", '\n\n[\n{"file": 1 2}]', "line 4: this is not JSON"),
        ("c.json", '{"file": "a.jpg", "captions": ["x"]}', "expected a JSON list of objects"),
        ("c.json", '["a.jpg"]', 'item 1: expected a JSON object, and found "a.jpg"'),
        ("c.json", '[{"file": 7, "captions": ["x"]}]', "item 1: expected the picture's file name as a text, and found 7"),
        ("c.json", '[{"captions": ["x"]}]', "item 1: expected the picture's file name"),
        ("c.json", '[{"file": "a.jpg"}]', "item 1: expected captions"),
        ("c.json", '[{"file": "a.jpg", "captions": ["x", 3]}]', "item 1: expected captions"),
        ("c.json", '[{"file": "a.jpg", "caption": "\\ud800"}]', "item 1: expected captions"),
        ("c.json", "[" * 100_000, "deeper nesting"),
        ("c.json", f'[{{"file": "a.jpg", "captions": ["x"], "id": {"7" * 5000}}}]', "this JSON cannot be read"),
        ("c.json", f'[{{"file": {"[" * 800}{"]" * 800}, "captions": ["x"]}}]', "item 1: expected the picture's file name"),
        ("c.csv", 'image,caption,"of\nwhat"\na.jpg,x,y\n', "line 1: a column's name goes over several lines"),
        ("c.jsonl", '{"file": "a.jpg", "caption": "x"}\n{"file": \n', "line 2: expected one JSON object a line"),
        ("c.jsonl", '{"file": "a.jpg", "caption": "x"}\n[]\n', "line 2: expected a JSON object"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(name: str, content: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match=sentence) as refusal:
        read_captions(written(tmp_path / name, content))
    assert str(tmp_path / name) in str(refusal.value)


def test_files_that_are_not_there_or_are_folders_are_named(tmp_path: Path) -> None:
    for read in (read_captions, read_names, lambda path: list(read_texts(path))):
        with pytest.raises(LexlipError, match=r"gone.csv does not exist"):
            read(tmp_path / "gone.csv")
        with pytest.raises(LexlipError, match=r"cannot be read \(Is a directory\)"):
            read(tmp_path)


def test_captions_may_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(CSV,))
    writer.start()
    assert read_captions(tmp_path / "pipe") == DOGS
    writer.join()


NAMES = st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip() == text)


FILES = NAMES.filter(lambda text: "/" not in text)


@given(st.dictionaries(FILES, st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_printable_caption_survives_json(captions: dict[str, list[str]]) -> None:
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    path = folder / f"lexlip-captions-{os.getpid()}.jsonl"
    try:
        path.write_text("\n".join(json.dumps({"file": file, "captions": said}) for file, said in captions.items()))
        assert read_captions(path) == captions
    finally:
        path.unlink()


# -- which picture has which captions


def test_one_picture_has_one_name_however_its_path_is_spelled(tmp_path: Path) -> None:
    spelled = ["./a.jpg", "a.jpg", "b/../a.jpg", "sub/a.jpg", "./sub//a.jpg"]
    table = written(tmp_path / "c.csv", "image,caption\n" + "".join(f"{name},{i}\n" for i, name in enumerate(spelled)))
    objects = [{"file": name, "caption": str(i)} for i, name in enumerate(spelled)]
    listed = written(tmp_path / "c.json", json.dumps(objects))
    for path in (table, listed):
        assert read_captions(path) == {"a.jpg": ["0", "1", "2"], "sub/a.jpg": ["3", "4"]}
        assert [text.key for text in read_texts(path)] == ["a.jpg#0", "a.jpg#1", "a.jpg#2", "sub/a.jpg#0", "sub/a.jpg#1"]
    names = written(tmp_path / "n.txt", "\n".join(spelled))
    assert read_names(names) == ["a.jpg", "a.jpg", "a.jpg", "sub/a.jpg", "sub/a.jpg"]


@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_captions_are_found_whether_letters_are_composed_or_not(in_file: str, on_disk: str, tmp_path: Path) -> None:
    name = "Zoë/café 한글.jpg"
    captions = read_captions(
        written(tmp_path / "c.csv", f"image,caption\n./{unicodedata.normalize(in_file, name)},a cup\n")  # type: ignore[arg-type]
    )
    relative = unicodedata.normalize(on_disk, name).encode()  # type: ignore[arg-type]
    assert captions.of(relative) == ["a cup"]
    assert captions.of(b"cafe.jpg") == []


def test_the_exact_name_goes_before_one_that_only_looks_the_same() -> None:
    captions = Captions({"é.jpg": ["composed"], "e\u0301.jpg": ["two signs"]})
    assert captions.of("é.jpg".encode()) == ["composed"]
    assert captions.of("e\u0301.jpg".encode()) == ["two signs"]


def test_odd_bytes_and_percent_signs_in_names_are_found(tmp_path: Path) -> None:
    for raw in (b"caf\xe9.jpg", b"50%25.jpg", b"50%.jpg"):
        with open(os.path.join(os.fsencode(tmp_path), raw), "wb"):
            pass
    captions = Captions({"caf%E9.jpg": ["x"], "50%25.jpg": ["y"], "50%.jpg": ["z"]})
    found = [entry for entry in find_pictures(tmp_path) if isinstance(entry, Found)]
    assert [captions.of(entry.relative) for entry in found] == [["z"], ["y"], ["x"]]


def test_captioned_pictures_that_are_not_there_can_be_named(tmp_path: Path) -> None:
    captions = read_captions(written(tmp_path / "c.csv", "image,caption\na.jpg,x\nb.jpg,y\nc.jpg,z\n"))
    assert captions.unused == ["a.jpg", "b.jpg", "c.jpg"]
    assert captions.of(b"b.jpg") == ["y"]
    assert captions.of(b"d.jpg") == []
    assert captions.unused == ["a.jpg", "c.jpg"]


# -- texts to index


def test_texts_of_pictures_are_numbered_by_picture(tmp_path: Path) -> None:
    path = written(tmp_path / "c.csv", "image,caption\na.jpg,one\nb.jpg,two\na.jpg,\na.jpg,four\n")
    assert list(read_texts(path)) == [
        Text("a.jpg#0", "one", "a.jpg"),
        Text("b.jpg#0", "two", "b.jpg"),
        Text("a.jpg#2", "four", "a.jpg"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        ("plain.txt", "A dog\n\n  Two cats, asleep \n", ["1", "3"]),
        ("plain.txt", "\n\nA dog\nTwo cats, asleep", ["3", "4"]),
        ("plain", "\ufeffA dog\r\nTwo cats, asleep\r\n", ["1", "2"]),
        ("c.csv", 'caption\nA dog\n"Two cats, asleep"\n', ["2", "3"]),
        ("c.tsv", "id\ttext\n7\tA dog\n8\tTwo cats, asleep\n", ["2", "3"]),
        ("c.jsonl", '{"text": "A dog"}\n\n{"caption": "Two cats, asleep"}\n', ["1", "3"]),
        ("c.json", '[{"text": "A dog"}, {"title": "Two cats, asleep"}]', ["1", "2"]),
        ("c.json", '[{"captions": ["A dog", "Two cats, asleep"]}]', ["1#0", "1#1"]),
    ],
)
def test_texts_without_pictures_are_numbered_by_line(name: str, content: str, keys: list[str], tmp_path: Path) -> None:
    texts = list(read_texts(written(tmp_path / name, content)))
    assert texts == [Text(keys[0], "A dog", None), Text(keys[1], "Two cats, asleep", None)]


@pytest.mark.parametrize("first", ["[sic] a dog", "{curly} dogs", "text", "Caption: a dog", "title, text"])
def test_plain_text_may_start_with_anything(first: str, tmp_path: Path) -> None:
    assert [text.text for text in read_texts(written(tmp_path / "plain.txt", f"{first}\nA cat\n"))] == [first, "A cat"]


def test_texts_stream(tmp_path: Path) -> None:
    texts = read_texts(written(tmp_path / "plain.txt", b"fine\nfine too\n\xff\n"))
    assert next(texts).text == "fine"
    assert next(texts).text == "fine too"
    with pytest.raises(LexlipError, match="line 3: this is not UTF-8"):
        next(texts)


def test_a_table_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match="expected a CSV or TSV header"):
        list(read_texts(written(tmp_path / "c.csv", "image,tags\na.jpg,dog\n")))


# -- names


def test_names_are_read_a_line_each(tmp_path: Path) -> None:
    assert read_names(written(tmp_path / "n.txt", "\ufeffa.jpg\r\n\n  b c.jpg \nd.jpg")) == ["a.jpg", "b c.jpg", "d.jpg"]
    assert read_names(written(tmp_path / "n.txt", "")) == []


# -- the data sets that the project is measured on


@pytest.mark.parametrize(
    ("file", "pictures", "captions"),
    [
        ("flickr8k_224_q75/captions.txt", 8091, 40_455),
        ("coco_free76_384/index.json", 76, 380),
        ("fashion44k_60x80_q85/captions.csv", 44_441, 44_441),
    ],
)
def test_the_data_sets_are_read_whole(file: str, pictures: int, captions: int, data: Path, tmp_path: Path) -> None:
    if not (data / file).exists():  # still packed
        name = file.partition("/")[0]
        with zipfile.ZipFile(data / f"{name}.zip") as packed:
            inside = next(entry for entry in packed.namelist() if entry.endswith(file.partition("/")[2]))
            data, file = tmp_path, packed.extract(inside, tmp_path)
    read = read_captions(data / file)
    assert (len(read), sum(map(len, read.values()))) == (pictures, captions)
    assert sum(1 for _ in read_texts(data / file)) == captions


def test_captions_in_parquet_are_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "captions.parquet"
    file.write_bytes(b"PAR1\xff")
    for read in (read_captions, lambda path: list(read_texts(path))):
        with pytest.raises(
            LexlipError, match=r"captions\.parquet is Parquet, .* give it to --images, or save it as CSV or JSONL"
        ):
            read(file)
