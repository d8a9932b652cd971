"""What goes over the wire is what botocore would have signed, and ours and its signatures are those that AWS publishes."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore import auth, awsrequest

from lexlip_es.engines import ConnectionSettings, Engine
from lexlip_es.engines.elasticsearch import ElasticsearchEngine
from lexlip_es.engines.opensearch import OpenSearchEngine
from lexlip_es.engines.sigv4 import Signer
from lexlip_es.errors import LexlipError
from tests.engine.wire import Canned, serving

Build = Callable[[ConnectionSettings], Engine]
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token"
FOUND = json.dumps({"took": 1, "count": 1, "hits": {"hits": []}}).encode()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def at(monkeypatch: pytest.MonkeyPatch, stamp: str) -> None:
    moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: moment)


def test_the_body_hash_is_signed_and_stands_in_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "20150830T123600Z")
    headers = Signer("us-east-1", "aoss").headers("POST", "https://x.example/pictures/_search", b"{}")
    assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(b"{}").hexdigest()
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert f"Credential={KEY}/20150830/us-east-1/aoss/aws4_request" in headers["Authorization"]
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date" in headers["Authorization"]
    other = Signer("us-east-1", "aoss").headers("POST", "https://x.example/pictures/_search", b"[]")
    assert other["Authorization"] != headers["Authorization"]


@pytest.mark.parametrize("build", [OpenSearchEngine, ElasticsearchEngine])
@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1"])  # the second one counts as far: its requests are compressed
def test_every_request_is_signed_as_it_is_sent(monkeypatch: pytest.MonkeyPatch, build: Build, service: str, host: str) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    answer = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(FOUND), b"", FOUND)
    with serving(Canned(*answer)) as server:
        url = server.url.replace("127.0.0.1", host)
        env = {"URL": url + "/prefix", "AWS_REGION": "eu-west-1", "AWS_SERVICE": service}
        engine = build(ConnectionSettings.from_environment({f"LEXLIP_ES_{name}": value for name, value in env.items()}))
        engine.search("bilder-ä,b*", {"query": {"ids": {"values": ["x" * 4_000]}}}, routing="a b/c&d")
        engine.count("pictures")
    assert len(server.seen) == 2
    for request in server.seen:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert (headers.get("content-encoding") == "gzip") == (host == "127.1" and len(body) > 0)
        at(monkeypatch, headers["x-amz-date"])
        hashed = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
        again = awsrequest.AWSRequest(method=method, url=f"http://{headers['host']}{target}", data=body, headers=hashed)
        auth.SigV4Auth(_Credentials(), service, "eu-west-1").add_auth(again)
        assert headers["authorization"] == again.headers["Authorization"]
        assert headers["x-amz-content-sha256"] == hashed["X-Amz-Content-SHA256"]
        assert headers["x-amz-security-token"] == TOKEN
        assert "host;x-amz-content-sha256;x-amz-date;x-amz-security-token" in headers["authorization"]


class _Credentials:
    access_key, secret_key, token = KEY, SECRET, TOKEN


def test_botocore_signs_as_amazon_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vector "get-vanilla" of the Signature Version 4 test suite: the reference that the other tests stand on."""
    at(monkeypatch, "20150830T123600Z")
    request = awsrequest.AWSRequest(method="GET", url="https://example.amazonaws.com/")
    credentials = _Credentials()
    credentials.token = ""
    auth.SigV4Auth(credentials, "service", "us-east-1").add_auth(request)
    assert request.headers["Authorization"].endswith("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_our_signer_signs_as_amazon_publishes(monkeypatch: pytest.MonkeyPatch, query: str, signature: str) -> None:
    """Amazon S3 API Reference, "Authenticating requests (AWS Signature Version 4)": GET Bucket lifecycle, and List Objects.

    They sign the hash of the body as a header, as we do; the test suite's "get-vanilla" does not.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    at(monkeypatch, "20130524T000000Z")
    headers = Signer("us-east-1", "s3").headers("GET", f"https://examplebucket.s3.amazonaws.com/?{query}", None)
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_what_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(LexlipError, match="no AWS credentials are found here: set AWS_PROFILE"):
        Signer("us-east-1", "es")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(LexlipError, match=r"cannot be read .*no-such-profile"):
        Signer("us-east-1", "es")
    monkeypatch.setattr("lexlip_es.extras.find_spec", lambda name: None)
    with pytest.raises(LexlipError, match=r"pip install 'lexlip-es\[aws\]'"):
        Signer("us-east-1", "es")


def test_neither_secret_nor_token_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    caplog.set_level("DEBUG")
    signer = Signer("us-east-1", "es")
    signer.headers("GET", "https://x.example/", None)
    assert not any(secret in caplog.text + repr(signer) + repr(vars(signer)) for secret in (SECRET, TOKEN))
