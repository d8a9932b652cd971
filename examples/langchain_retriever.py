"""Pictures for a LangChain chain: a retriever whose documents are the pictures that fit a sentence.

retriever = PictureRetriever(pictures=PictureIndex(), k=4)
retriever.invoke("a dog on a beach")

Needs `pip install lexlip-es langchain-core`. `ainvoke` works too: LangChain runs it in a thread, and a `PictureIndex` may be
shared by threads.
"""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from lexlip_es import PictureIndex


class PictureRetriever(BaseRetriever):
    """The k best pictures for a sentence, that match `filter` (a clause of the engine's) where there is one."""

    pictures: PictureIndex
    k: int = 10
    filter: dict[str, Any] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        # What a language model can read of a picture are the words that it was found by; the rest is for programs.
        return [
            Document(
                id=hit.id,
                page_content=f"{hit.path}: {', '.join(share.term for share in hit.terms)}",
                metadata={"path": hit.full_path, "score": hit.score},
            )
            for hit in self.pictures.search(query, self.k, self.filter).hits
        ]
