"""OpenSearch with neural-search, whose zip needs the k-NN plugin and a few jars of a module that is published nowhere."""

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
_UNPUBLISHED = ",transport-grpc"  # in the descriptors' list of what a plugin extends; its jars go beside the k-NN plugin's


def start_neural(name: str, cache: Path) -> Server:
    """Start OpenSearch with `neural_sparse` queries (and Lucene's k-NN; its native library is not there and not asked for)."""
    return start_opensearch(name, VERSION, cache, _add_plugins)


def _add_plugins(places: Places) -> None:
    jars = fetch(read_lock((LOCKS / f"neural-search-{VERSION}.lock").read_text("utf-8")), places.cache, product="neural-search")
    plugins = places.engine / "plugins"
    for path in jars:
        if path.suffix == ".zip":
            folder = plugins / path.name.removesuffix(f"-{VERSION}.0.zip")
            with zipfile.ZipFile(path) as pack:
                pack.extractall(folder)
            descriptor = folder / "plugin-descriptor.properties"
            descriptor.write_text(descriptor.read_text("utf-8").replace(_UNPUBLISHED, ""), "utf-8")
    for path in jars:
        if path.suffix == ".jar":
            shutil.copyfile(path, plugins / _KNN / path.name)
    _drop_doubles(places, plugins)


def _drop_doubles(places: Places, plugins: Path) -> None:
    """Remove the jars that a plugin would see twice: the node refuses to load it then ("jar hell")."""
    node = read_lock((LOCKS / f"opensearch-{VERSION}.lock").read_text("utf-8"))
    seen_by_all = {_stem(jar.file_name) for jar in node} - _modules_own(places)
    of_knn = {_stem(jar.name) for jar in (plugins / _KNN).glob("*.jar")}
    for jar in plugins.glob("*/*.jar"):
        if _stem(jar.name) in seen_by_all or (jar.parent.name != _KNN and _stem(jar.name) in of_knn):
            jar.unlink()


def _modules_own(places: Places) -> set[str]:
    """The jars that only their own module sees; painless's are seen by the plugins, which extend it."""
    jars = (places.engine / "modules").glob("*/*.jar")
    return {_stem(jar.name) for jar in jars if jar.parent.name != "lang-painless"}


def _stem(file_name: str) -> str:
    """The artifact's name.

    >>> _stem("httpcore5-h2-5.4.jar")
    'httpcore5-h2'
    """
    return re.sub(r"-\d.*$", "", file_name)
