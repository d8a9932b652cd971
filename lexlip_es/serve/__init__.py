"""The web page and its API, `lexlip-es serve`: needs the extra `serve`; nothing else of the package imports it."""
