"""The server's addresses: the page, its login, the API and the thumbnails."""

import re
import tempfile
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import orjson
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

import lexlip_es
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.images import PictureError
from lexlip_es.library import Library
from lexlip_es.serve.access import Access
from lexlip_es.serve.guard import COOKIE, THUMBNAILS, Guard
from lexlip_es.serve.searches import Searches
from lexlip_es.thumbnails import MEDIA_TYPE

LARGEST_UPLOAD = 50_000_000
"""Bytes of a picture that is searched by: more than cameras make, less than what fills a disk."""
MOST_HITS = 1_000
_LARGEST_LOGIN = 4_096
_CONTENT_HASH = re.compile(r"[0-9a-f]{64}")
_A_PICTURE = {"requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}}

Text = Annotated[str, Query(max_length=4_000, description="What to look for, in the query language.")]
Count = Annotated[int, Query(ge=1, le=MOST_HITS, description="How many hits.")]
All = Annotated[bool, Query(description="Show each of several duplicates, instead of the best one.")]
Hybrid = Annotated[bool, Query(description="Ask captions, tags and file names too, by BM25.")]
CutOff = Annotated[bool, Query(description="Hide hits that have too little of the best score.")]


def create_app(searches: Searches, library: Library, access: Access, index: str) -> FastAPI:
    """The ASGI application of one index."""
    app = FastAPI(title="lexlip-es", version=lexlip_es.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, access=access)
    static = Path(str(resources.files("lexlip_es.serve") / "static"))
    _answer_errors_in_a_sentence(app)

    @app.get("/api/search")
    def search(q: Text, k: Count = 20, all: All = False, hybrid: Hybrid = False, cut_off: CutOff = False) -> Response:
        """The pictures of the index for a query, each with the terms that it has its score from."""
        return _as_json(searches.answer(q, k, all=all, hybrid=hybrid, cut_off=cut_off))

    @app.post("/api/search", openapi_extra=_A_PICTURE)
    async def search_by_picture(
        request: Request, q: Text = "", k: Count = 20, all: All = False, hybrid: Hybrid = False, cut_off: CutOff = False
    ) -> Response:
        """The pictures of the index that are like the picture in the body, and like the query where there is one too."""
        with tempfile.NamedTemporaryFile(prefix="lexlip-") as file:
            async for piece in _pieces(request, LARGEST_UPLOAD):
                file.write(piece)
            file.flush()
            picture = Path(file.name)
            return _as_json(
                await run_in_threadpool(searches.answer, q, k, picture=picture, all=all, hybrid=hybrid, cut_off=cut_off)
            )

    @app.get("/api/about")
    def about() -> Response:
        """What is searched: the index, its model, its server, how many pictures it has."""
        return _as_json(searches.about())

    @app.get(THUMBNAILS + "{key}/{content_hash}")
    def thumbnail(key: str, content_hash: str) -> Response:
        """A picture of the index, small, upright and without metadata; the key is part of the address that searches give."""
        if not access.is_thumbnails_key(key, index) or not _CONTENT_HASH.fullmatch(content_hash):
            raise HTTPException(404, "there is no such thumbnail.")
        try:
            made = library.thumbnail(content_hash)
        except PictureError as error:
            raise HTTPException(404, error.reason) from error
        told = {"cache-control": "private, max-age=86400", "cross-origin-resource-policy": "cross-origin"}  # Kibana shows it
        return Response(made, media_type=MEDIA_TYPE, headers=told)

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(static / "index.html")

    @app.get("/login", include_in_schema=False)
    def login_page() -> Response:
        # Without a referrer a browser would post the form from the origin "null", which the guard refuses.
        return FileResponse(static / "login.html", headers={"referrer-policy": "same-origin"})

    @app.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        body = b"".join([piece async for piece in _pieces(request, _LARGEST_LOGIN)])
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not access.accepts(given):
            return RedirectResponse("/login#wrong", 303)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, access.session, httponly=True, samesite="strict", secure=secure)
        return answer

    app.mount("/static", StaticFiles(directory=static))
    return app


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body as it comes, which is given up where it has more than `most` bytes, whatever its header says."""
    too_large = HTTPException(413, f"that is more than {most:,} bytes: send a smaller file.")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    length = 0
    try:
        async for piece in request.stream():
            length += len(piece)
            if length > most:
                raise too_large
            yield piece
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection broke off.") from error


def _as_json(found: dict[str, Any]) -> Response:
    return Response(orjson.dumps(found), media_type="application/json")  # json would take a sixth of all the time of an answer


def _answer_errors_in_a_sentence(app: FastAPI) -> None:
    @app.exception_handler(LexlipError)
    def cannot(_: Request, error: LexlipError) -> Response:
        if isinstance(error, PictureError):
            return _error(422, error.reason)
        return _error(400 if isinstance(error, UsageError) else 503, str(error))

    @app.exception_handler(RequestValidationError)
    def misunderstood(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{one['loc'][-1]}: {one['msg'].lower()}" for one in error.errors())
        return _error(400, f"{said}.")

    @app.exception_handler(StarletteHTTPException)
    def refused(_: Request, error: StarletteHTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def failed(_: Request, error: Exception) -> Response:  # the server's log has the rest
        return _error(500, "the server failed at this: its operator finds more in its log.")


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
