"""`lexlip-es evaluate`: recall on captioned pictures, in memory and through the engine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lexlip_es.cli import common


def evaluate(
    images: Annotated[Path, typer.Option("--images", help="The folder of pictures.")],
    captions: Annotated[Path, typer.Option("--captions", help="CSV, TSV, JSONL or JSON with the pictures' captions.")],
    files: common.FilesOption = None,
    engine: Annotated[bool, typer.Option("--engine", help="Also search through the engine, and compare rank by rank.")] = False,
    index: common.IndexOption = None,
    texts_index: Annotated[str | None, typer.Option("--texts-index", help="The index of the captions; default: texts.")] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="The collection of the indexed pictures.")] = None,
    texts_collection: Annotated[str | None, typer.Option("--texts-collection", help="The collection of the texts.")] = None,
    terms: common.TermsOption = None,
    query_terms: Annotated[
        int | None, typer.Option("--query-terms", min=1, help="Terms kept a query; default: the model's.")
    ] = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Measure R@1/5/10 and the median rank, text to picture and picture to text (there: hit of any caption)."""
    from lexlip_es import evaluating
    from lexlip_es.encoders import load_encoder
    from lexlip_es.indexing import Run
    from lexlip_es.model_folder import open_model

    opened = open_model(model)
    encoder = load_encoder(opened, text=text_side, runtime=runtime)
    data = evaluating.read_captioned_pictures(images, captions, files)
    indexed = None
    if engine:  # before hours of encoding
        indexed = evaluating.IndexedData.check(
            common.connected(url),
            opened,
            data,
            pictures=index,
            texts=texts_index,
            picture_collection=Run.of(encoder, images, collection=collection).collection,
            text_collection=Run.of(encoder, captions, collection=texts_collection).collection,
        )
    with common.progress("pictures") as tick:
        encoded = evaluating.encode(encoder, data, tick)
    pruning = opened.pruning.unless(terms or (indexed.terms if indexed else None), query_terms)
    memory = evaluating.measure(encoded, data, pruning)
    result: dict[str, Any] = {
        "model": opened.identity,
        "pictures": len(data.names),
        "texts": len(data.texts),
        "picture_terms": pruning.picture_terms,
        "query_terms": pruning.query_terms,
        "memory": memory.to_json(),
    }
    if indexed:
        through = evaluating.measure_on_engine(indexed, opened, encoded, pruning)
        result["engine"] = through.to_json()
        result["ranks_that_differ"] = memory.differing(through)
    if as_json:
        common.answer(result)
        return
    print(f"{len(data.names)} pictures of {pruning.picture_terms} terms, {len(data.texts)} texts of {pruning.query_terms}")
    print(f"memory  text to picture  {memory.text_to_picture}")
    print(f"memory  picture to text  {memory.picture_to_text}")
    if indexed:
        print(f"engine  text to picture  {through.text_to_picture}")
        print(f"engine  picture to text  {through.picture_to_text}")
        print(f"ranks that differ between memory and engine: {result['ranks_that_differ']}")
