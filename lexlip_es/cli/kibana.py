"""`lexlip-es kibana export|install`: image search for Kibana and OpenSearch Dashboards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexlip_es.cli import common

if TYPE_CHECKING:
    from lexlip_es.dialects import QueryForm
    from lexlip_es.kibana.objects import SavedObject

app = typer.Typer(
    help="A data view, a search, panels and a dashboard for Kibana and OpenSearch Dashboards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ThumbnailOption = Annotated[
    str | None,
    typer.Option("--thumbnail-base", help="Show thumbnails from this URL, which `lexlip-es serve` names when it starts."),
]
TextArgument = Annotated[
    str | None,
    typer.Argument(help="The query that the dashboard begins with; for a sparse_vector field add --form sparse_vector."),
]


def _objects(
    text: str | None, index: str | None, thumbnail_base: str | None, form: "QueryForm | None", model: Path | None
) -> "list[SavedObject]":
    from lexlip_es.kibana.objects import saved_objects
    from lexlip_es.names import index_name

    name = index_name(index)
    if text is None:
        return saved_objects(name, thumbnail_base)
    from lexlip_es.encoders import load_encoder
    from lexlip_es.kibana.asked import Asked
    from lexlip_es.model_folder import open_model

    return saved_objects(name, thumbnail_base, Asked.of(load_encoder(open_model(model)), text, form).in_bar)


@app.command()
def export(
    text: TextArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write, NAME.ndjson; default: stdout.")] = None,
    thumbnail_base: ThumbnailOption = None,
    index: common.IndexOption = None,
    form: common.FormOption = None,
    model: common.ModelOption = None,
) -> None:
    """Write the NDJSON that Stack Management > Saved Objects > Import takes; no server is asked."""
    from lexlip_es.kibana.objects import ndjson

    lines = ndjson(_objects(text, index, thumbnail_base, form, model))
    if out is None:
        print(lines, end="")
    else:
        out.write_text(lines, "utf-8")


@app.command()
def install(
    url: Annotated[str, typer.Option("--url", envvar="LEXLIP_KIBANA_URL", help="Kibana's or Dashboards' address.")],
    text: TextArgument = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the objects that are there.")] = False,
    thumbnail_base: ThumbnailOption = None,
    index: common.IndexOption = None,
    form: common.FormOption = None,
    model: common.ModelOption = None,
) -> None:
    """Import the same into a running Kibana or Dashboards; the login is the engine's (LEXLIP_ES_USERNAME, ...)."""
    import os

    from lexlip_es.kibana.installing import import_objects, kibana_settings
    from lexlip_es.kibana.objects import ndjson

    objects = _objects(text, index, thumbnail_base, form, model)
    settings = kibana_settings(url, os.environ)
    imported = import_objects(settings, ndjson(objects), overwrite=overwrite)
    common.say(f"imported {imported} objects into {settings.display}: open the dashboard {objects[-1]['attributes']['title']!r}.")
