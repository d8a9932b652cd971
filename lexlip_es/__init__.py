"""Text-to-picture search for Elasticsearch and OpenSearch: LexLIP's weighted dictionary terms in an inverted index."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lexlip_es.async_picture_index import AsyncPictureIndex
    from lexlip_es.picture_index import PictureIndex

__version__ = "0.1.0"
__all__ = ["AsyncPictureIndex", "PictureIndex", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: every command imports this package, and few of its modules.
    if name == "PictureIndex":
        from lexlip_es.picture_index import PictureIndex

        return PictureIndex
    if name == "AsyncPictureIndex":
        from lexlip_es.async_picture_index import AsyncPictureIndex

        return AsyncPictureIndex
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
