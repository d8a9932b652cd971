"""What stands before every request: known hosts, own origins, the token; and what every answer tells the browser to refuse."""

from http.cookies import CookieError

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lexlip_es.serve.access import TOKEN, Access, is_own_origin

COOKIE = "lexlip_session"
THUMBNAILS = "/thumbnails/"
_OPEN = ("/login", "/static/", THUMBNAILS)  # thumbnails have a key of their own
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Guard:
    """ASGI middleware that refuses whom `Access` does not let in."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on; there are no web sockets."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer: ASGIApp = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host, origin, path = request.headers.get("host", ""), request.headers.get("origin"), request.url.path
        if not self._access.knows(host):
            return _refused(403, f"this server is not known as {host[:80]!r}: start it with --allow-host and that name.")
        if origin is not None and not is_own_origin(origin, host):
            return _refused(403, f"{origin[:80]!r} is another page, and only this server's own page may ask.")
        if path.startswith(_OPEN) or self._is_let_in(request):
            return None
        if path == "/":
            return RedirectResponse("/login", 303)
        return _refused(401, f"give the server's token ({TOKEN}) as a bearer token, or log in at /login.", "Bearer")

    def _is_let_in(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._access.token is None or (scheme.lower() == "bearer" and self._access.accepts(token.strip())):
            return True
        try:
            return self._access.accepts_session(request.cookies.get(COOKIE, ""))
        except CookieError:
            return False


def _refused(status: int, sentence: str, challenge: str | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, {"www-authenticate": challenge} if challenge else None)
