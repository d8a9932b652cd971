"""`lexlip-es query`: the request body of a sentence, ready for Dev Tools or curl; no server is asked."""

from typing import Annotated

import typer

from lexlip_es.cli import common


def query(
    text: Annotated[str, typer.Argument(help='What to look for: "a dog on a beach".')],
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="How many hits.")] = 10,
    literal: common.LiteralOption = False,
    form: common.FormOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
) -> None:
    """Print the search request for a sentence: paste it under `GET pictures/_search`."""
    from lexlip_es.dialects import dialect_of_form
    from lexlip_es.encoders import load_encoder
    from lexlip_es.errors import UsageError
    from lexlip_es.model_folder import open_model
    from lexlip_es.queries import search_body
    from lexlip_es.query_filters import all_of
    from lexlip_es.subjects import Subject

    opened = open_model(model)
    subject = Subject.of(load_encoder(opened, text=text_side, runtime=runtime), text, literal=literal)
    if subject.likes:
        raise UsageError("like: asks the index for a picture's terms, and query asks no server: leave it out, or use search.")
    dialect = dialect_of_form(form or "rank_feature")
    only = all_of(subject.demanded, subject.banned, subject.filters, opened.lexicon, dialect.field_type)
    common.answer(search_body(subject.row, opened.lexicon, k, dialect=dialect, filter=only))
