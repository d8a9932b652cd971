"""How much longer does `/api/search` of `lexlip-es serve` take than the engine's own answer?

    lexlip-es index --images DIR --index real                                # once: real documents
    python -m benchmarks.serve_speed --index real --captions FILE [--files TEST.txt] [--made 100000] [--out FILE.json]

A server is started as people start it, in a process of its own. Each round asks every caption in every way, in turn, so that the
machine's moods touch all of them alike: `/api/search` over one kept connection, `PictureIndex.search` in this process, and bare,
which is the bytes of the request that such a search sends, its answer read and not parsed. Captions with signs of the query
language are left out, since the three would ask different things. --made: on so many documents made like the index's, which is
deleted at the end. The engine is that of LEXLIP_ES_URL, or the embedded one.
"""

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from benchmarks.bare import Bare
from benchmarks.markdown import table
from benchmarks.options import tell, timed_searches
from benchmarks.search_costs import K, beside, first_captions, in_turn, made_like, sent_by
from benchmarks.sending import connected
from lexlip_es import PictureIndex
from lexlip_es.query_language import ParsedQuery, parse


@contextmanager
def served(engine_url: str, index: PictureIndex) -> Iterator[str]:
    """The address of a server for an index, which ends with the block."""
    arguments = ["serve", "--port", "0", "--index", index.name, "--model", str(index.encoder.model.path), "--url", engine_url]
    command = [sys.executable, "-m", "lexlip_es.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next(filter(None, (re.search(r"is served at (http://\S+)/", line) for line in process.stderr)))
            yield said[1]
        finally:
            process.terminate()


def beside_bare(index: PictureIndex, engine_url: str, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The server beside the requests that its searches send, sent bare."""
    requests = [sent_by(index, text) for text in texts]
    targets = ["/api/search?" + urlencode({"q": text, "k": K}) for text in texts]
    bare = Bare(engine_url)
    with served(engine_url, index) as url:
        site = Bare(url)
        ways = {
            "bare": lambda i: bare.send(requests[i].target, requests[i].body),
            "PictureIndex": lambda i: index.search(texts[i], K),
            "/api/search": lambda i: site.send(targets[i]),
        }
        times = in_turn(ways, len(texts), rounds)
        length = statistics.median(len(site.send(target)) for target in targets)
        site.close()
    bare.close()
    found = beside(times)
    return {"documents": index.count(), "beside bare": found, "bytes of an answer": length, "load": os.getloadavg()[0]}


def main() -> None:
    """Measure, and print JSON and Markdown."""
    options = timed_searches(__doc__).parse_args()
    captions = first_captions(options.captions, options.files, options.queries)
    texts = [text for text in captions if parse(text) == ParsedQuery(text)]
    engine: Any = connected()
    url = engine._access.nodes[0].url
    found: dict[str, Any] = {"server": engine.server.display, "queries": len(texts), "rounds": options.rounds}
    with PictureIndex(url, options.index, options.model) as index:
        if not options.made:
            found |= beside_bare(index, url, texts, options.rounds)
        else:
            with made_like(engine, index, url, options.made) as made:
                found |= beside_bare(made, url, texts, options.rounds)
    tell(found, options.out)
    print("\n" + table([{"": way, **figures} for way, figures in found["beside bare"].items()]))


if __name__ == "__main__":
    main()
