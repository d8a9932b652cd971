"""Where the embedded node keeps its things: one folder for its life, one cache that several nodes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = "3.9.0"  # of OpenSearch; the lock file beside this module names every jar of it


@dataclass(frozen=True)
class Places:
    """`engine` holds data, logs, configuration and state of one node; `cache` what can be fetched or computed again.

    The cache's path is free of links, so that a class archive made from it fits every node that shares it.
    """

    engine: Path
    cache: Path
    version: str = VERSION

    @classmethod
    def find(cls, env: Mapping[str, str], home: Path | None = None) -> "Places":
        """`home`, else LEXLIP_HOME, else the user's data and cache folders of this operating system."""
        chosen = home or (Path(env["LEXLIP_HOME"]).expanduser() if env.get("LEXLIP_HOME") else None)
        if chosen is not None:
            return cls(chosen.absolute() / "engine", (chosen / "cache").resolve())
        from platformdirs import user_cache_path, user_data_path

        return cls(user_data_path("lexlip-es") / "engine", user_cache_path("lexlip-es").resolve())

    @property
    def jars(self) -> Path:
        """The locked jars, flat."""
        return self.cache / f"opensearch-{self.version}"

    @property
    def thumbnails(self) -> Path:
        """Small pictures that were made for people to look at."""
        return self.cache / "thumbnails"

    @property
    def state(self) -> Path:
        """What the running node is: pid, port and the rest."""
        return self.engine / "state.json"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops the node."""
        return self.engine / "start.lock"

    @property
    def data(self) -> Path:
        """The indices."""
        return self.engine / "data"

    @property
    def logs(self) -> Path:
        """Where `node.log` and the node's port files are."""
        return self.engine / "logs"

    @property
    def log(self) -> Path:
        """What the node says; the one of the start before is `node.previous.log`."""
        return self.logs / "node.log"

    @property
    def config(self) -> Path:
        """The node's configuration folder, written anew by every start."""
        return self.engine / "config"
