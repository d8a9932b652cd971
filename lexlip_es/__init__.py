"""Text-to-picture search for Elasticsearch and OpenSearch: LexLIP's weighted dictionary terms in an inverted index."""

__version__ = "0.1.0"
