"""`lexlip-es kibana export|install`: image search for Kibana and OpenSearch Dashboards."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common

app = typer.Typer(
    help="A data view, a search, panels and a dashboard for Kibana and OpenSearch Dashboards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ThumbnailOption = Annotated[
    str | None,
    typer.Option("--thumbnail-base", help="Show thumbnails from this URL, which `lexlip-es serve` names when it starts."),
]


@app.command()
def export(
    out: Annotated[Path | None, typer.Option("--out", help="The file to write, NAME.ndjson; default: stdout.")] = None,
    thumbnail_base: ThumbnailOption = None,
    index: common.IndexOption = None,
) -> None:
    """Write the NDJSON that Stack Management > Saved Objects > Import takes; no server is asked."""
    from lexlip_es.kibana.objects import ndjson, saved_objects
    from lexlip_es.names import index_name

    lines = ndjson(saved_objects(index_name(index), thumbnail_base))
    if out is None:
        print(lines, end="")
    else:
        out.write_text(lines, "utf-8")


@app.command()
def install(
    url: Annotated[str, typer.Option("--url", envvar="LEXLIP_KIBANA_URL", help="Kibana's or Dashboards' address.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the objects that are there.")] = False,
    thumbnail_base: ThumbnailOption = None,
    index: common.IndexOption = None,
) -> None:
    """Import the same into a running Kibana or Dashboards; the login is the engine's (LEXLIP_ES_USERNAME, ...)."""
    import os

    from lexlip_es.kibana.installing import import_objects, kibana_settings
    from lexlip_es.kibana.objects import ndjson, saved_objects
    from lexlip_es.names import index_name

    objects = saved_objects(index_name(index), thumbnail_base)
    settings = kibana_settings(url, os.environ)
    imported = import_objects(settings, ndjson(objects), overwrite=overwrite)
    common.say(f"imported {imported} objects into {settings.display}: open the dashboard {objects[-1]['attributes']['title']!r}.")
