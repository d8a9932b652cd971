"""What does a model find for words that its training captions (hardly) ever say?

    python -m benchmarks.unseen_words --images DIR --captions FILE --train TRAIN.txt --files TEST.txt [--demo DIR] [WORD ...]

For each word: in how many training captions it stands, how many of the searched photographs have it in a caption of theirs, how
many of the ten best do, and what the best are (a caption, or a demo photograph's name). Exact reference scores, no engine.
"""

import json
import re
from pathlib import Path

import numpy as np

from benchmarks.options import captioned_pictures
from lexlip_es.captions import read_captions, read_names
from lexlip_es.demo_pictures import write_demo_pictures
from lexlip_es.encoders import load_encoder
from lexlip_es.evaluating import encode_pictures
from lexlip_es.model_folder import open_model
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores

WORDS = ("rocket", "guitar", "pizza", "laptop", "automobile", "puppy", "coffee", "trombone", "bagel", "ambulance")
BEST = 10


def says(texts: list[str], word: str) -> int:
    """How many of the texts have the word, in singular or plural."""
    pattern = re.compile(rf"\b{re.escape(word)}s?\b", re.IGNORECASE)
    return sum(bool(pattern.search(text)) for text in texts)


def main() -> None:
    """Search for each word and print a table, then JSON."""
    parser = captioned_pictures(__doc__)
    parser.add_argument("words", nargs="*", default=WORDS)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--demo", type=Path, help="folder for the demo's photographs, which are searched too")
    parser.add_argument("--text", choices=("auto", "table", "tower"), default="auto")
    options = parser.parse_args()
    model = open_model(options.model)
    encoder = load_encoder(model, text=options.text)
    captions = read_captions(options.captions)
    learned = [text for name in read_names(options.train) for text in captions.get(name, [])]
    names = [name for name in read_names(options.files) if (options.images / name).is_file()]
    shown = {name: captions.get(name, []) for name in names}
    encoded = [encode_pictures(encoder, options.images, names, lambda: None)]
    if options.demo:
        write_demo_pictures(options.demo)
        demo = sorted(path.name for path in options.demo.iterdir())
        shown |= {name: [f"[{name}]"] for name in demo}
        encoded.append(encode_pictures(encoder, options.demo, demo, lambda: None))
    documents = prepare_documents(SparseWeights.concat(encoded), model.pruning.picture_terms)
    queries = prepare_queries(encoder.encode_texts(list(options.words)), model.pruning.query_terms)
    texts = list(shown.values())
    rows = []
    print("| word | training captions | photographs that say it | of the ten best | best three |")
    print("| --- | --- | --- | --- | --- |")
    for word, scores in zip(options.words, reference_scores(queries, documents), strict=True):
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:BEST] if scores[i] > 0]
        row = {
            "word": word,
            "training_captions": says(learned, word),
            "photographs": sum(bool(says(own, word)) for own in texts),
            "of_the_ten_best": sum(bool(says(texts[i], word)) for i in best),
            "best": [texts[i][0] for i in best[:3]],
        }
        rows.append(row)
        print(
            f"| {word} | {row['training_captions']} | {row['photographs']} | {row['of_the_ten_best']} of {len(best)} | "
            + "; ".join(row["best"]) + " |"
        )  # fmt: skip
    print(json.dumps({"model": model.label, "rows": rows}))


if __name__ == "__main__":
    main()
