"""Pictures for a Haystack pipeline: a component whose documents are the pictures that fit a sentence.

pipeline.add_component("pictures", PictureRetriever(top_k=4))
pipeline.run({"pictures": {"query": "a dog on a beach"}})

Needs `pip install lexlip-es haystack-ai`. Where the server is and who asks stands in the environment (`LEXLIP_ES_...`), so that a
pipeline that is saved holds no secret.
"""

from typing import Any

from haystack import Document, component

from lexlip_es import PictureIndex


@component
class PictureRetriever:
    """The `top_k` best pictures for a sentence, that match `filters` (a clause of the engine's) where there are any."""

    def __init__(
        self, name: str = "pictures", model: str | None = None, top_k: int = 10, filters: dict[str, Any] | None = None
    ) -> None:
        """See `PictureIndex` for name and model; it connects when the pipeline warms up."""
        self.name, self.model, self.top_k, self.filters = name, model, top_k, filters
        self._pictures: PictureIndex | None = None

    def warm_up(self) -> None:
        """Connect, once."""
        if self._pictures is None:
            self._pictures = PictureIndex(name=self.name, model=self.model)

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None, filters: dict[str, Any] | None = None) -> dict[str, list[Document]]:
        """Search; `top_k` and `filters` replace the component's own."""
        self.warm_up()
        assert self._pictures is not None
        result = self._pictures.search(query, self.top_k if top_k is None else top_k, filters or self.filters)
        documents = [
            Document(
                id=hit.id,
                content=", ".join(share.term for share in hit.terms),
                meta={"file_path": hit.full_path},
                score=hit.score,
            )
            for hit in result.hits
        ]
        return {"documents": documents}
