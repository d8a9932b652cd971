"""The jars of the embedded node: exactly those of the lock file, by coordinates, with their SHA-256, nothing resolved.

They come by `mvn` where it is installed and works (it knows a company's mirrors), else by the pure-Python resolver `jgo`.
Whatever brought a jar, only the locked bytes are accepted, and a jar takes its place in the cache by a rename: an interrupted
or damaged fetch is made good by the next one, which fetches what is missing and no more.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from xml.sax.saxutils import escape

from lexlip_es.engines.node.places import VERSION
from lexlip_es.errors import LexlipError

MVN_SECONDS = 300
JGO_SECONDS = 60
JGO_THREADS = 8
Report = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of a lock file: Maven coordinates, SHA-256 in hex, size in bytes; `packaging` is "jar" or "zip"."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size: int
    packaging: str = "jar"

    @property
    def file_name(self) -> str:
        """The name that Maven gives the file."""
        return f"{self.artifact}-{self.version}{'-' + self.classifier if self.classifier else ''}.{self.packaging}"

    def is_at(self, path: Path) -> bool:
        """Whether the file holds the locked bytes."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def locked_jars() -> list[Jar]:
    """The jars of this package's OpenSearch."""
    return read_lock(resources.files(__package__).joinpath(f"opensearch-{VERSION}.lock").read_text("utf-8"))


def read_lock(text: str) -> list[Jar]:
    """The jars of a lock file's lines `group:artifact:version[:classifier][@packaging] sha256 bytes`."""
    jars = []
    for line in text.splitlines():
        coordinates, sha256, size = line.split()
        coordinates, _, packaging = coordinates.partition("@")
        group, artifact, version, *classifier = coordinates.split(":")
        jars.append(Jar(group, artifact, version, "".join(classifier), sha256, int(size), packaging or "jar"))
    return jars


def fetch(jars: Iterable[Jar], folder: Path, report: Report | None = None, product: str = f"OpenSearch {VERSION}") -> list[Path]:
    """Have every jar in `folder`, checked, and return their paths in the order of `jars`; only what is missing is fetched.

    Safe against other processes that fetch into the same folder. Raises `LexlipError` where a jar cannot be had.
    """
    wanted = list(jars)
    missing = [jar for jar in wanted if not jar.is_at(folder / jar.file_name)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        if report:
            report(f"fetching {product}: {len(missing)} jars, {sum(j.size for j in missing) / 1e6:.0f} MB, once")
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as temporary:
            brought = _by_mvn(missing, Path(temporary, "mvn"))
            _take(missing, brought, folder)
            rest = [jar for jar in missing if jar.file_name not in brought]
            brought, trouble = _by_jgo(rest, Path(temporary, "jgo")) if rest else ({}, "")
            _take(rest, brought, folder)
        lacking = [jar.file_name for jar in rest if jar.file_name not in brought]
        if lacking:
            raise LexlipError(
                f"{len(lacking)} of {product.split()[0]}'s jars could not be fetched "
                f"({lacking[0]}: {trouble or 'not the locked bytes'}): "
                "try again when the network is there, or set LEXLIP_ES_URL to an engine that runs."
            )
    return [folder / jar.file_name for jar in wanted]


def _take(jars: list[Jar], brought: dict[str, Path], folder: Path) -> None:
    """Move the jars that hold the locked bytes to their place; the others are dropped from `brought`."""
    for jar in jars:
        path = brought.get(jar.file_name)
        if path is None:
            continue
        if jar.is_at(path):
            os.replace(path, folder / jar.file_name)
        else:
            del brought[jar.file_name]


def _by_mvn(jars: list[Jar], folder: Path) -> dict[str, Path]:
    """What `mvn` could bring, by file name; nothing where it is not installed or fails."""
    mvn = shutil.which("mvn")
    if mvn is None:
        return {}
    folder.mkdir()
    pom = folder / "pom.xml"
    pom.write_text(_pom(jars), "utf-8")
    command = [mvn, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={folder}", "-DexcludeTransitive=true"]
    with suppress(OSError, subprocess.TimeoutExpired):  # what it did bring is as good as any: the sums decide
        subprocess.run(command + options, stdin=subprocess.DEVNULL, capture_output=True, timeout=MVN_SECONDS, check=False)
    return {path.name: path for path in folder.iterdir()}


def _pom(jars: list[Jar]) -> str:
    dependencies = "".join(
        f"<dependency><groupId>{escape(jar.group)}</groupId><artifactId>{escape(jar.artifact)}</artifactId>"
        f"<version>{escape(jar.version)}</version><type>{escape(jar.packaging)}</type>"
        + (f"<classifier>{escape(jar.classifier)}</classifier>" if jar.classifier else "")
        + "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
        for jar in jars
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>lexlip-es</groupId><artifactId>node</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def _by_jgo(jars: list[Jar], folder: Path) -> tuple[dict[str, Path], str]:
    """The jars that PyPI's `jgo` could bring, one artifact each, by file name, and what kept it from bringing the first other.

    The repository folder is a fresh one: nothing that lies in ~/.m2 is trusted.
    """
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise LexlipError(
            "no engine is configured, and OpenSearch's jars cannot be fetched without mvn or jgo: "
            "set LEXLIP_ES_URL or pip install 'lexlip-es[embedded]'."
        ) from None
    context = MavenContext(resolver=PythonResolver(), repo_cache=folder, timeout=JGO_SECONDS)

    def bring(jar: Jar) -> Path | str:
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            return Path(component.artifact(jar.classifier, jar.packaging).resolve())
        except Exception as error:  # anything from the HTTP library's errors to RuntimeError
            return type(error).__name__

    pool = ThreadPoolExecutor(JGO_THREADS)
    try:
        brought = list(pool.map(bring, jars))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    trouble = next((outcome for outcome in brought if isinstance(outcome, str)), "")
    paths = {jar.file_name: path for jar, path in zip(jars, brought, strict=True) if isinstance(path, Path)}
    return paths, trouble
