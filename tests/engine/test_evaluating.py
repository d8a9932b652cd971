"""Recall through the engine equals recall in memory, rank by rank, in both directions."""

from pathlib import Path

import pytest
from PIL import Image

from lexlip_es.captions import Text
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import Engine
from lexlip_es.errors import LexlipError
from lexlip_es.evaluating import (
    CaptionedPictures,
    EncodedPictures,
    IndexedData,
    Measured,
    encode,
    measure,
    measure_on_engine,
    read_captioned_pictures,
)
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.texts import TextFile
from tests.made_model import make_model

PICTURES, TEXTS = "evaluated-pictures", "evaluated-texts"


def measured_on_engine(
    engine: Engine,
    model: ModelFolder,
    data: CaptionedPictures,
    encoded: EncodedPictures,
    captions: Path,
    files: Path | None,
    *,
    collection: str | None = None,
) -> Measured:
    encoder = load_encoder(model)
    pictures, texts = Run.of(encoder, data.root), Run.of(encoder, captions)
    try:
        index_source(engine, pictures, PictureFolder(data.root, files=files), PICTURES)
        index_source(engine, texts, TextFile(captions, files), TEXTS)
        indexed = IndexedData.check(
            engine,
            model,
            data,
            pictures=PICTURES,
            texts=TEXTS,
            picture_collection=collection or pictures.collection,
            text_collection=texts.collection,
        )
        return measure_on_engine(indexed, model, encoded, model.pruning)
    finally:
        for index in engine.indices("evaluated-*"):
            engine.delete_index(index)


def test_ties_and_what_the_engine_does_not_return_are_ranked_as_in_memory(engine: Engine, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    root = tmp_path / "photos"
    root.mkdir()
    lines = ["image,caption"]
    for number, colour in enumerate(["red", "red", "lime", "blue", "purple", "yellow"]):
        Image.new("RGB", (8, 8), colour).save(root / f"{number}.png")
        lines += [f"{number}.png,something {colour}", f"{number}.png,red and blue"]
    captions = tmp_path / "captions.csv"
    captions.write_text("\n".join(lines))
    data = read_captioned_pictures(root, captions)
    encoded = encode(load_encoder(model), data)
    memory = measure(encoded, data, model.pruning)
    # "lime" is no term of this model: such a query returns nothing, so its picture is tied with all, and its text has no document
    assert memory.text_ranks[data.texts.index(Text("2.png#0", "something lime", "2.png"))] == 3.5
    through = measured_on_engine(engine, model, data, encoded, captions, None)
    assert through.text_ranks.tolist() == memory.text_ranks.tolist()
    assert through.picture_ranks.tolist() == memory.picture_ranks.tolist()


def test_an_index_of_other_pictures_is_refused(engine: Engine, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), "red").save(tmp_path / name / "red.png")
    captions = tmp_path / "captions.csv"
    captions.write_text("image,caption\nred.png,red\n")
    data = read_captioned_pictures(tmp_path / "one", captions)
    encoded = encode(load_encoder(model), data)
    elsewhere = CaptionedPictures(tmp_path / "other", data.names, data.texts)
    with pytest.raises(LexlipError, match="1 of 1 documents are not in index"):
        measured_on_engine(engine, model, elsewhere, encoded, captions, None, collection=str(tmp_path / "one"))


def test_dev_photographs_are_ranked_by_the_engine_as_in_memory(engine: Engine, flickr8k: Path, tmp_path: Path) -> None:
    model = ModelFolder.open(starter_path())
    names = (flickr8k / "Flickr_8k.devImages.txt").read_text().split()[:80]
    files = tmp_path / "files.txt"
    files.write_text("\n".join(names))
    data = read_captioned_pictures(flickr8k / "images", flickr8k / "captions.txt", files)
    assert (len(data.names), len(data.texts)) == (80, 400)
    encoded = encode(load_encoder(model), data)
    memory = measure(encoded, data, model.pruning)
    through = measured_on_engine(engine, model, data, encoded, flickr8k / "captions.txt", files)
    assert memory.differing(through) == 0
    assert memory.to_json() == through.to_json()
    assert memory.text_to_picture.at_10 > 75  # among 80 pictures chance is 12.5
