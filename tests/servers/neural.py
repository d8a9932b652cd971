"""OpenSearch with neural-search and ml-commons, whose analyzer `bert-uncased` makes word pieces of a query's text.

The zips of these plugins and of those that they extend are published; the module transport-grpc, which they extend as well, is
not: its jars stand beside the k-NN plugin's instead.
"""

import re
import shutil
import zipfile
from pathlib import Path

from lexlip_es.engines.node.jars import fetch, read_lock
from lexlip_es.engines.node.places import Places
from tests.servers.opensearch import LOCKS, start_opensearch
from tests.servers.server import Server

VERSION = "3.6.0"
_KNN = "opensearch-knn"
_UNPUBLISHED = ",transport-grpc"
_HEAVY = "onnxruntime_gpu"  # 300 MB that only models run by ml-commons itself would need
_SEEN = {"lang-painless": "modules", _KNN: "plugins", "opensearch-job-scheduler": "plugins"}  # what plugins extend, and where


def start_neural(name: str, cache: Path) -> Server:
    """Start OpenSearch with `neural_sparse` queries, by tokens or by text."""
    return start_opensearch(name, VERSION, cache, _add_plugins)


def _add_plugins(places: Places) -> None:
    jars = fetch(read_lock((LOCKS / f"neural-search-{VERSION}.lock").read_text("utf-8")), places.cache, product="neural-search")
    plugins = places.engine / "plugins"
    for path in jars:
        if path.suffix == ".zip":
            folder = plugins / path.name.removesuffix(f"-{VERSION}.0.zip")
            with zipfile.ZipFile(path) as pack:
                pack.extractall(folder, [name for name in pack.namelist() if _HEAVY not in name])
            descriptor = folder / "plugin-descriptor.properties"
            descriptor.write_text(descriptor.read_text("utf-8").replace(_UNPUBLISHED, ""), "utf-8")
    for path in jars:
        if path.suffix == ".jar":
            shutil.copyfile(path, plugins / _KNN / path.name)
    _drop_doubles(places, plugins)


def _drop_doubles(places: Places, plugins: Path) -> None:
    """Remove the jars that a plugin would see twice: the node refuses to load it then ("jar hell")."""
    node = read_lock((LOCKS / f"opensearch-{VERSION}.lock").read_text("utf-8"))
    of_modules = {jar.name for jar in (places.engine / "modules").glob("*/*.jar")}
    of_node = {_stem(jar.file_name) for jar in node if jar.file_name not in of_modules}
    for folder in plugins.iterdir():  # the node's own first: what a plugin extends may then lack nothing that it had
        _drop(folder, of_node)
    for folder in plugins.iterdir():
        descriptor = (folder / "plugin-descriptor.properties").read_text("utf-8")
        for extended, kind in _SEEN.items():
            if re.search(rf"^extended\.plugins=.*\b{extended}\b", descriptor, re.MULTILINE):
                _drop(folder, {_stem(jar.name) for jar in (places.engine / kind / extended).glob("*.jar")})


def _drop(folder: Path, stems: set[str]) -> None:
    for jar in folder.glob("*.jar"):
        if _stem(jar.name) in stems:
            jar.unlink()


def _stem(file_name: str) -> str:
    """The artifact's name.

    >>> _stem("httpcore5-h2-5.4.jar")
    'httpcore5-h2'
    """
    return re.sub(r"-\d.*$", "", file_name)
