"""How connections are secured, spread and refused, over a real node behind relays."""

import logging
import ssl
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import trustme

from lexlip_es.engines import ConnectionSettings, Engine, EngineUnreachableError, connect
from lexlip_es.engines.elasticsearch import ElasticsearchEngine
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.errors import LexlipError, UsageError
from tests.engine.wire import Canned, Relay, serving

ENGINES = [OpenSearchEngine, ElasticsearchEngine]
Build = Callable[[ConnectionSettings], Engine]
through_both = pytest.mark.parametrize("build", ENGINES)
VERSION = b'{"version": {"number": "3.9.0", "distribution": "opensearch"}}'


@pytest.fixture
def stack() -> Any:
    with ExitStack() as running:
        yield running


@pytest.fixture
def secured(engine_url: str, stack: ExitStack) -> Callable[[ssl.SSLContext], Relay]:
    """Puts TLS before the node."""
    return lambda context: stack.enter_context(serving(Relay(engine_url, context)))


def serverside(certificate: trustme.LeafCert, *shown: trustme.CA, folder: Path) -> ssl.SSLContext:
    """A server's context that shows its certificate and the authorities given."""
    file = folder / f"{id(certificate)}.pem"
    pems = [certificate.private_key_pem, *certificate.cert_chain_pems, *(authority.cert_pem for authority in shown)]
    file.write_bytes(b"".join(pem.bytes() for pem in pems))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def settings(url: str, **env: Any) -> ConnectionSettings:
    given = {f"LEXLIP_ES_{name}": str(value) for name, value in env.items()}
    return ConnectionSettings.from_environment({"LEXLIP_ES_URL": url, **given})


def fingerprint(pem: trustme.Blob) -> str:
    plain = sha256(ssl.PEM_cert_to_DER_cert(pem.bytes().decode())).hexdigest().upper()
    return ":".join(plain[i : i + 2] for i in range(0, 64, 2))


@through_both
def test_a_certificate_that_cannot_be_trusted_ends_it(build: Build, secured: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    past = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue_cert("localhost", not_after=past, not_before=past - timedelta(days=9))
    for certificate, trusted, sentence in [
        (authority.issue_cert("localhost"), {}, r"not trusted .*LEXLIP_ES_CA_CERTS"),
        (trustme.CA().issue_cert("localhost"), {"CA_CERTS": ca}, r"not trusted .*LEXLIP_ES_CA_CERTS"),
        (expired, {"CA_CERTS": ca}, r"out of date .*have it renewed"),
        (authority.issue_cert("other.example"), {"CA_CERTS": ca}, r"made out for another name"),
    ]:
        relay = secured(serverside(certificate, folder=tmp_path))
        with pytest.raises(LexlipError, match=sentence) as error:
            build(settings(relay.url, **trusted)).info()
        assert "\n" not in str(error.value)
        assert relay.seen == b""
    relay = secured(serverside(authority.issue_cert("localhost"), folder=tmp_path))
    assert build(settings(relay.url, CA_CERTS=ca)).server.number == "3.9.0"


@through_both
def test_a_fingerprint_of_the_server_or_of_its_authority_is_enough(build: Build, secured: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    other_name = authority.issue_cert("other.example")
    for shows, pinned in [
        (serverside(certificate, folder=tmp_path), certificate.cert_chain_pems[0]),
        (serverside(certificate, authority, folder=tmp_path), authority.cert_pem),
        (serverside(other_name, folder=tmp_path), other_name.cert_chain_pems[0]),  # the very certificate, whatever its name
    ]:
        url = secured(shows).url
        assert build(settings(url, CA_FINGERPRINT=fingerprint(pinned))).server.number == "3.9.0"
    assert connect(settings(url, CA_FINGERPRINT=fingerprint(pinned).lower().replace(":", ""))).server.number == "3.9.0"


@through_both
def test_a_fingerprint_is_proven_not_only_shown(build: Build, secured: Any, tmp_path: Path) -> None:
    authority, impostor = trustme.CA(), trustme.CA()
    pinned = fingerprint(authority.cert_pem)
    for shows, sentence in [
        (serverside(impostor.issue_cert("localhost"), impostor, folder=tmp_path), "no certificate .* has the fingerprint"),
        (serverside(authority.issue_cert("localhost"), folder=tmp_path), "no certificate .* LEXLIP_ES_CA_CERTS"),
        (serverside(impostor.issue_cert("localhost"), authority, folder=tmp_path), "not trusted"),
        (serverside(authority.issue_cert("other.example"), authority, folder=tmp_path), "another name"),
    ]:
        relay = secured(shows)
        with pytest.raises(LexlipError, match=sentence):
            build(settings(relay.url, CA_FINGERPRINT=pinned, API_KEY="hush")).info()
        assert relay.seen == b""


@through_both
def test_a_pinned_certificate_is_demanded_of_every_connection(build: Build, secured: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    relay = secured(serverside(certificate, folder=tmp_path))
    engine = build(settings(relay.url, CA_FINGERPRINT=fingerprint(certificate.cert_chain_pems[0])))
    relay.context = serverside(authority.issue_cert("localhost"), authority, folder=tmp_path)
    with pytest.raises(LexlipError, match="no longer has the fingerprint"):
        engine.info()
    assert relay.seen == b""


@through_both
def test_a_server_may_demand_a_certificate_of_its_users(build: Build, secured: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = serverside(authority.issue_cert("localhost"), folder=tmp_path)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    url = secured(context).url
    ca, own, foreign, key = (tmp_path / name for name in ("ca.pem", "own.pem", "foreign.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    mine = authority.issue_cert("ann@pictures.example")
    mine.private_key_pem.write_to_path(str(key))
    mine.cert_chain_pems[0].write_to_path(str(own))
    trustme.CA().issue_cert("ann@pictures.example").private_key_and_cert_chain_pem.write_to_path(str(foreign))
    assert build(settings(url, CA_CERTS=ca, CLIENT_CERT=own, CLIENT_KEY=key)).server.number == "3.9.0"
    for identity in ({}, {"CLIENT_CERT": foreign}):
        # A server may hang up before its alert is read, with or without an end of the TLS connection.
        with pytest.raises(LexlipError, match=r"LEXLIP_ES_CLIENT_CERT|connection was lost|reset by peer|broken pipe"):
            build(settings(url, CA_CERTS=ca, **identity)).info()


def test_files_without_certificates_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    file.write_text("nothing\n")
    for name in ("CA_CERTS", "CLIENT_CERT"):
        with pytest.raises(UsageError, match=f"LEXLIP_ES_{name}"):
            connect(settings("https://localhost:1", **{name: file}))


@through_both
@pytest.mark.parametrize("first", [0, 1])
def test_a_node_that_dies_during_a_search_hands_it_to_the_next(
    build: Build, engine_url: str, index: str, stack: ExitStack, first: int
) -> None:
    dying = stack.enter_context(serving(Relay(engine_url, dies_at=b"/_search")))
    alive = stack.enter_context(serving(Relay(engine_url)))
    urls = [dying.url, alive.url]
    engine = build(ConnectionSettings(urls=(urls[first], urls[1 - first])))
    for _ in range(4):
        assert engine.search(index, {})["hits"]["hits"] == []
    assert b"/_search" in dying.seen
    assert b"/_search" in alive.seen
    with pytest.raises(EngineUnreachableError):
        build(ConnectionSettings(urls=(dying.url,))).search(index, {})


@through_both
def test_a_node_that_hangs_is_passed_over_afterwards(build: Build, engine_url: str, index: str) -> None:
    with socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        engine: Any = build(ConnectionSettings(urls=(f"http://127.0.0.1:{hanging.getsockname()[1]}", engine_url)))
        late = 0
        for _ in range(6):
            try:
                engine.request("GET", f"/{index}/_count", seconds=1.0)
            except EngineUnreachableError as error:
                assert "no answer within 1 s" in str(error)
                late += 1
        assert late == 1


@through_both
def test_threads_share_an_engine(build: Build, engine_url: str, index: str) -> None:
    engine = build(ConnectionSettings(urls=(engine_url,)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: engine.count(index), range(100))) == [0] * 100


@through_both
def test_an_address_may_be_ipv6(build: Build) -> None:
    with serving(Canned(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(VERSION), b"", VERSION, host="::1")) as server:
        assert build(settings(server.url)).server.number == connect(settings(server.url)).server.number == "3.9.0"
        assert all(f"host: [::1]:{server.server_address[1]}".encode() in request.lower() for request in server.seen)


@through_both
def test_logins_are_seen_on_the_wire_and_nowhere_else(build: Build, other_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for env, expected in [
        ({"API_KEY": "aHVzaA=="}, "ApiKey aHVzaA=="),
        ({"BEARER": "hush"}, "Bearer hush"),
        ({"USERNAME": "änn", "PASSWORD": "hush"}, "Basic w6RubjpodXNo"),
    ]:
        given = settings(other_server.url, **env)
        engine = build(given)
        other_server.answer = 200, "application/json", VERSION
        assert engine.info().number == "3.9.0"
        assert other_server.seen[-1][2]["authorization"] == expected
        other_server.answer = 401, "application/json", b"{}"
        variables = " and ".join(f"LEXLIP_ES_{name}" for name in env)
        with pytest.raises(LexlipError, match=f"does not accept this login: check {variables}") as error:
            engine.info()
        told = "".join([caplog.text, repr(given), repr(vars(engine)), *traceback.format_exception(error.value)])
        assert not any(secret in told for secret in ("hush", "aHVzaA", "w6RubjpodXNo"))


@through_both
def test_a_redirect_is_not_followed(build: Build, other_server: Any, stack: ExitStack) -> None:
    there = other_server.url.replace("//", "//ann:hush@") + "/x"
    elsewhere = Canned(b"HTTP/1.1 307 Elsewhere", f"Location: {there}".encode(), b"Content-Length: 0", b"", b"")
    url = stack.enter_context(serving(elsewhere)).url
    engine = build(settings(url, BEARER="hush"))
    for ask in (engine.info, lambda: engine.search("pictures", {})):
        with pytest.raises(LexlipError, match=f"sends requests on to {other_server.url}, where no login is taken"):
            ask()
    with pytest.raises(LexlipError, match="set LEXLIP_ES_URL to the engine itself"):
        connect(settings(url))
    assert other_server.seen == []


@through_both
def test_http_for_https_and_https_for_http_are_told(build: Build, secured: Any, engine_url: str, tmp_path: Path) -> None:
    tls = secured(serverside(trustme.CA().issue_cert("localhost"), folder=tmp_path)).url
    with pytest.raises(EngineUnreachableError, match="begins with https://"):
        build(settings(tls.replace("https:", "http:"))).info()
    for trusted in ({}, {"CA_FINGERPRINT": "0" * 64}):
        with pytest.raises(LexlipError, match="does not speak TLS: write its URL with http://"):
            build(settings(engine_url.replace("http:", "https:"), **trusted)).info()


@through_both
@pytest.mark.parametrize(
    ("status", "kind", "body", "sentence"),
    [
        (200, "text/html", "<html>Log in</html>", "cannot be read: check LEXLIP_ES_URL"),
        (400, "text/html", "<html>plain HTTP request was sent to HTTPS port</html>", r"status 400 .*begins with https://"),
        (401, "text/html", "<html>", "wants to know who asks: set LEXLIP_ES_USERNAME"),
        (403, "application/json", '{"Message": "not authorised to perform es:ESHttpPost"}', "may not do that.*es:ESHttpPost"),
        (403, "text/html", "<html>", "this user may not do that"),
        (404, "text/html", "<html>", "status 404.*check LEXLIP_ES_URL"),
        (405, "application/json", '{"error": "Incorrect HTTP method"}', r"status 405 \(Incorrect HTTP method\)"),
        (406, "application/json", '{"error": {"type": "media_type_header_exception", "reason": "x"}}', "pip install 'elast"),
        (413, "text/html", "<html>", "larger than .* accepts"),
        (429, "application/json", "{}", "takes no more for now .*try again later"),
        (503, "text/html", "<html>", r"not ready \(status 503: no reason given\)"),
    ],
)
def test_what_stands_before_the_engine_may_refuse(
    build: Build, other_server: Any, status: int, kind: str, body: str, sentence: str
) -> None:
    other_server.answer = status, kind, body.encode()
    with pytest.raises(LexlipError, match=sentence) as error:
        build(settings(other_server.url)).search("pictures", {})
    assert error.value.exit_code == 1
    assert "\n" not in str(error.value)
    assert len(other_server.seen) == (4 if status in (429, 503) else 1)


@through_both
def test_only_what_leaves_this_machine_is_compressed(build: Build, stack: ExitStack) -> None:
    body = b'{"took": 1, "hits": {"hits": []}}'
    server = stack.enter_context(serving(Canned(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"", body)))
    query = {"query": {"ids": {"values": ["x" * 5_000]}}}
    for host in ("127.0.0.1", "127.1"):  # the second is the same address, though not by name
        build(settings(server.url.replace("127.0.0.1", host))).search("pictures", query)
    near, far = server.seen
    assert len(near) > 5_000 and b"gzip" not in near.lower()
    assert len(far) < 1_000 and b"content-encoding: gzip" in far.lower()
