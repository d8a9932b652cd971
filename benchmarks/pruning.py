"""How many terms should a picture and a query keep? Recall and index size on dev data, which the model's defaults follow.

    python -m benchmarks.pruning --images DIR --captions FILE --files DEV.txt [--model DIR] [--out FILE.json]

Recall is text to picture with reference scores (the engine's, exactly). Bytes are those of an index of these pictures in the
embedded OpenSearch after a force-merge: whole, and without the terms in the stored document (`_source`).
"""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.options import captioned_pictures
from benchmarks.sending import disk_bytes
from lexlip_es.curves import PICTURE_TERMS, QUERY_TERMS
from lexlip_es.documents import features
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, connect, embedded
from lexlip_es.evaluating import encode, measure, read_captioned_pictures
from lexlip_es.mappings import index_body
from lexlip_es.model_folder import Pruning, open_model
from lexlip_es.weights import SparseWeights, prepare_documents


def index_bytes(pictures: SparseWeights, terms: int, lexicon: object, *, source: bool) -> int:
    """Bytes on disk of the pictures' terms alone, with or without `_source`."""
    node = embedded.ensure_running()
    engine = connect(ConnectionSettings(urls=(node.url,)))  # never the cluster that LEXLIP_ES_URL names
    name = f"bench-pruning-{terms}"
    body = index_body({})
    if not source:
        # the second key too, else OpenSearch keeps the terms for recoveries and nothing is saved
        body["mappings"]["_source"] = {"excludes": ["terms"], "recovery_source_excludes": ["terms"]}
    for old in engine.indices(name):
        engine.delete_index(old)
    engine.create_index(name, body)
    kept = prepare_documents(pictures, terms)
    documents = ({"_id": f"{i:032x}", "source": {"terms": features(kept.row(i), lexicon)}} for i in range(len(kept)))
    assert all(result.ok for result in engine.bulk(name, documents))
    engine.force_merge(name)
    size = disk_bytes(engine, name)
    engine.delete_index(name)
    engine.close()
    return size


def main() -> None:
    """Measure and print a table; the figures also go to a JSON file."""
    parser = captioned_pictures(__doc__)
    parser.add_argument("--text", choices=("auto", "table", "tower"), default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = open_model(options.model)
    data = read_captioned_pictures(options.images, options.captions, options.files)
    encoded = encode(load_encoder(model, text=options.text), data)
    rows = []
    print(
        "| terms a picture | "
        + " | ".join(f"{q} a query: R@1 / R@10" for q in QUERY_TERMS)
        + " | bytes a picture | terms not in _source |"
    )
    print("|" + " --- |" * (len(QUERY_TERMS) + 3))
    for terms in PICTURE_TERMS:
        recalls = {q: measure(encoded, data, Pruning(terms, q)) for q in QUERY_TERMS}
        sizes = [index_bytes(encoded.pictures, terms, model.lexicon, source=source) / len(data.names) for source in (True, False)]
        cells = [f"{r.text_to_picture.at_1:.1f} / {r.text_to_picture.at_10:.1f}" for r in recalls.values()]
        print(f"| {terms} | " + " | ".join(cells) + f" | {sizes[0]:.0f} | {sizes[1]:.0f} |", flush=True)
        rows.append(
            {
                "picture_terms": terms,
                "text_to_picture": {q: asdict(r.text_to_picture) for q, r in recalls.items()},
                "picture_to_text": asdict(recalls[QUERY_TERMS[-1]].picture_to_text),
                "bytes_a_picture": sizes[0],
                "bytes_a_picture_without_source": sizes[1],
            }
        )
    if options.out:
        options.out.write_text(json.dumps({"model": model.identity, "pictures": len(data.names), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
