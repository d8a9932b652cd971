"""Columns that a source declares (`--meta price:double`), as fields of an index: `meta.price`, a double.

The mapping is strict, so that a value goes in only by a field of its own. What types there are, the mapping says; the same stands
in `_meta.lexlip.columns`, from which a new index's mapping is made.
"""

from collections.abc import Mapping
from typing import Any

from lexlip_es.errors import LexlipError


def meta_field(columns: Mapping[str, str]) -> dict[str, Any]:
    """The field `meta` of a mapping with these columns (name -> type): the engine's own types, a text as captions are.

    >>> meta_field({"price": "double"})
    {'type': 'object', 'dynamic': 'strict', 'properties': {'price': {'type': 'double'}}}
    """
    properties = {name: {"type": kind, **({"analyzer": "standard"} if kind == "text" else {})} for name, kind in columns.items()}
    return {"type": "object", "dynamic": "strict", **({"properties": properties} if properties else {})}


def columns_of(mappings: Mapping[str, Any]) -> dict[str, str]:
    """The columns of an index, by its mappings: name -> type."""
    fields = mappings.get("properties", {}).get("meta", {}).get("properties", {})
    return {name: str(field.get("type", "object")) for name, field in fields.items()}


def joined(what: str, has: Mapping[str, str], declared: Mapping[str, str]) -> dict[str, str]:
    """The columns that `what` has, and those that are declared; raises `LexlipError` for one name with two types.

    >>> joined("index a", {"price": "double"}, {"brand": "keyword"})
    {'price': 'double', 'brand': 'keyword'}
    """
    for name, kind in declared.items():
        if has.get(name, kind) != kind:
            raise LexlipError(
                f"{what} has the column {name} as {has[name]}, not {kind}: declare it with --meta {name}:{has[name]}, or make "
                "the documents of all its collections anew with lexlip-es rebuild."
            )
    return {**has, **declared}
