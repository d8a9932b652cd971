"""`lexlip-es query`: the request body of a sentence, ready for Dev Tools or curl; no server is asked."""

from typing import Annotated

import typer

from lexlip_es.cli import common


def query(
    text: Annotated[str, typer.Argument(help='What to look for: "a dog on a beach".')],
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="How many hits.")] = 10,
    form: common.FormOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
) -> None:
    """Print the search request for a sentence: paste it under `GET pictures/_search`."""
    from lexlip_es.dialects import dialect_of_form
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.queries import search_body
    from lexlip_es.subjects import query_row

    opened = open_model(model)
    row = query_row(load_encoder(opened, text=text_side, runtime=runtime), text)
    common.answer(search_body(row, opened.lexicon, k, dialect=dialect_of_form(form or "rank_feature")))
