"""`lexlip-es query`: the search request of a sentence, ready to paste; no server is asked."""

from typing import Annotated, Literal

import typer

from lexlip_es.cli import common


def query(
    text: Annotated[str, typer.Argument(help='What to look for: "a dog on a beach".')],
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="How many hits.")] = 10,
    literal: common.LiteralOption = False,
    form: common.FormOption = None,
    target: Annotated[
        Literal["dev-tools", "lucene", "pill", "template", "curl"] | None,
        typer.Option(
            "--for", help="Where it is pasted: Dev Tools, the Lucene query bar, a filter pill, a shell; template: Dev Tools too."
        ),
    ] = None,
    index: common.IndexOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
) -> None:
    """Print the search request for a sentence, as the body of `_search`, or with --for as it is pasted elsewhere.

    For an index with a sparse_vector field add --form sparse_vector.
    """
    import os
    from dataclasses import replace

    from lexlip_es.dialects import dialect_of_form
    from lexlip_es.encoders import load_encoder
    from lexlip_es.engines.embedded import status
    from lexlip_es.engines.settings import ConnectionSettings
    from lexlip_es.errors import UsageError
    from lexlip_es.kibana.pasting import curl_line, lucene_line, template_call
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name
    from lexlip_es.queries import search_body
    from lexlip_es.query_filters import all_of
    from lexlip_es.subjects import Subject

    name, opened = index_name(index), open_model(model)
    subject = Subject.of(load_encoder(opened, text=text_side, runtime=runtime), text, literal=literal)
    if subject.likes:
        raise UsageError("like: asks the index for a picture's terms, and query asks no server: leave it out, or use search.")
    dialect = dialect_of_form(form or "rank_feature")
    only = all_of(subject.demanded, subject.banned, subject.filters, opened.lexicon, dialect.field_type)
    body = search_body(subject.row, opened.lexicon, k, dialect=dialect, filter=only)
    if target == "lucene":
        common.show(lucene_line(body["query"], subject.row, opened.lexicon, dialect.field_type, only))
    elif target == "pill":
        common.say("a filter pill selects and does not score: to rank, paste --for lucene into the query bar.")
        common.answer(body["query"])
    elif target == "template":
        clauses = search_body(subject.row, opened.lexicon, k, dialect=replace(dialect, form=dialect.clauses), filter=only)
        call = template_call(clauses["query"], k)
        common.show(f"GET {name}/_search/template")
        common.answer(call)
    elif target == "curl":
        urls = ConnectionSettings.from_environment(os.environ).urls
        node = None if urls else status()
        url = urls[0] if urls else node.url if node else "http://localhost:9200"
        common.show(curl_line(url, name, body, os.environ))
    else:
        if target == "dev-tools":
            common.show(f"GET {name}/_search")
        common.answer(body)
