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
    from lexlip_es.encoders import load_encoder
    from lexlip_es.kibana.asked import Asked
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name

    name = index_name(index)
    asked = Asked.of(load_encoder(open_model(model), text=text_side, runtime=runtime), text, form, literal=literal)
    if target == "lucene":
        common.show(asked.line)
    elif target == "pill":
        common.say("a filter pill selects and does not score: to rank, paste --for lucene into the query bar.")
        common.answer(asked.body(k)["query"])
    elif target == "template":
        call = asked.call(k)
        common.show(f"GET {name}/_search/template")
        common.answer(call)
    elif target == "curl":
        import os

        from lexlip_es.engines.embedded import status
        from lexlip_es.engines.settings import ConnectionSettings
        from lexlip_es.kibana.pasting import curl_line

        urls = ConnectionSettings.from_environment(os.environ).urls
        node = None if urls else status()
        url = urls[0] if urls else node.url if node else "http://localhost:9200"
        common.show(curl_line(url, name, asked.body(k), os.environ))
    else:
        if target == "dev-tools":
            common.show(f"GET {name}/_search")
        common.answer(asked.body(k))
