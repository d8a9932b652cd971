"""What the doctor asks a server: reading requests, and a few that no server can carry out, which show what the user may do."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from lexlip_es.engines.cluster import cluster_settings
from lexlip_es.engines.errors import EngineUnreachableError, ForbiddenError
from lexlip_es.engines.protocol import Engine, JsonObject, ServerInfo
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.target import lexlip_meta

T = TypeVar("T")
Answer = JsonObject | LexlipError
"""What a server answered, or why it did not."""
Indices = dict[str, JsonObject]
Deed = Literal["search", "write", "create", "alias"]


@dataclass(frozen=True)
class Facts:
    """All that is known for a judgement.

    `address` is the server's, without credentials; `serving` is what the name stands for, `beside` what is named `NAME-...`,
    `left` the indices that a parity check left behind; `parts` lists the modules and plugins of a node, `settings` those of the
    cluster, defaults included, flat; `disks` is `_nodes/stats/fs`. `health` is that of the one index, and None where there is
    none. `may` lacks what could not be tried, and what is tried on an index of ours alone.
    """

    server: ServerInfo
    address: str
    name: str
    model: ModelFolder | LexlipError
    serving: Indices | LexlipError
    beside: Indices | LexlipError = field(default_factory=dict)
    left: Indices | LexlipError = field(default_factory=dict)
    parts: Answer = field(default_factory=dict)
    health: Answer | None = None
    cluster: Answer = field(default_factory=dict)
    settings: Answer = field(default_factory=dict)
    disks: Answer = field(default_factory=dict)
    may: Mapping[Deed, bool] = field(default_factory=dict)


def gather(engine: Engine, address: str, name: str, model: ModelFolder | LexlipError) -> Facts:
    """Ask a server about itself and the index of this name. Changes nothing; raises `EngineUnreachableError` alone."""
    serving = _try(lambda: engine.indices(name))
    one = next(iter(serving)) if isinstance(serving, dict) and len(serving) == 1 else None
    ours = one if isinstance(serving, dict) and one is not None and lexlip_meta(serving[one]) else None
    parts = {"filter_path": "nodes.*.modules.name,nodes.*.plugins.name"}
    disks = {"filter_path": "nodes.*.name,nodes.*.fs.total"}
    return Facts(
        server=engine.server,
        address=address,
        name=name,
        model=model,
        serving=serving,
        beside=_try(lambda: engine.indices(f"{name}-*")),
        left=_try(lambda: engine.indices(f"{name}_parity_*")),
        parts=_try(lambda: engine.request("GET", "/_nodes/_local", params=parts)),
        health=_try(lambda: engine.request("GET", f"/_cluster/health/{quote(one, safe='')}")) if one else None,
        cluster=_try(lambda: engine.request("GET", "/_cluster/health")),
        settings=_try(lambda: cluster_settings(engine)),
        disks=_try(lambda: engine.request("GET", "/_nodes/stats/fs", params=disks)),
        may=dict(_rights(engine, name, ours)),
    )


def _try(ask: Callable[[], T]) -> T | LexlipError:
    try:
        return ask()
    except EngineUnreachableError:
        raise
    except LexlipError as error:
        return error


def _rights(engine: Engine, name: str, ours: str | None) -> list[tuple[Deed, bool]]:
    """What this user may do, tried with requests that fail for another reason where the right is there.

    A document that does not exist is to be changed, an index with an unknown type of field to be made, an alias that does not
    exist to be taken away: servers look at the rights before they look at that. What could change an index, were the server
    to carry it out, is asked of `ours` alone, and of a name that nobody has.
    """
    nowhere = f"{name}-lexlip-doctor-{secrets.token_hex(6)}"
    # An unknown field type: there is no server that makes such an index.
    impossible = {"mappings": {"properties": {"terms": {"type": "lexlip_doctor"}}}}
    tried: list[tuple[Deed, bool]] = [
        # of the name, since servers hide an index from those who have no right to it
        ("search", _may(engine, "POST", f"/{quote(name, safe='')}/_search", {"size": 0})),
        ("create", _may(engine, "PUT", f"/{quote(nowhere, safe='')}", impossible)),
    ]
    if ours is not None:
        path = "/" + quote(ours, safe="")
        action = {"remove": {"index": ours, "alias": nowhere, "must_exist": True}}
        tried += [
            ("write", _may(engine, "POST", f"{path}/_update/lexlip-doctor", {"doc": {}}, timeout="1s")),
            ("alias", _may(engine, "POST", "/_aliases", {"actions": [action]})),
        ]
    return tried


def _may(engine: Engine, method: str, path: str, body: Any, **params: str) -> bool:
    try:
        engine.request(method, path, body=body, params=params, repeatable=False)
    except ForbiddenError:
        return False
    except EngineUnreachableError:
        raise
    except LexlipError:  # for the other reason, or because of a block or a missing shard: the right is there
        return True
    return True
