"""Sparse terms in a real engine against dense vectors in FAISS: the same pictures, queries and machine, one interleaved run."""
