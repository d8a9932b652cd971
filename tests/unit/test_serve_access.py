import os
import stat
from pathlib import Path

import pytest

from lexlip_es.errors import UsageError
from lexlip_es.serve.access import Access, is_loopback, is_own_origin, kept_secret

TOKEN = "a long enough token"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gallery.example"])
def test_others_reach_no_server_without_a_token(host: str) -> None:
    for token in (None, ""):
        with pytest.raises(UsageError, match="LEXLIP_SERVE_TOKEN"):
            Access.of(host, (), token, b"secret")
    with pytest.raises(UsageError, match="guessed"):
        Access.of(host, (), "hunter2", b"secret")
    assert Access.of(host, (), TOKEN, b"secret").accepts(TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_alone_needs_none(host: str) -> None:
    assert is_loopback(host) and Access.of(host, (), None, b"secret").accepts("")


def test_keys_differ_by_index_secret_and_token() -> None:
    access = Access.of("127.0.0.1", (), TOKEN, b"secret")
    other = Access.of("127.0.0.1", (), f"{TOKEN}!", b"another")
    keys = {access.thumbnails_key("a"), access.thumbnails_key("b"), other.thumbnails_key("a"), access.session, other.session}
    assert len(keys) == 5
    assert access.is_thumbnails_key(access.thumbnails_key("a"), "a") and not access.is_thumbnails_key("é", "a")
    assert access.accepts_session(access.session) and not access.accepts_session(other.session)


def test_an_origin_is_ours_only_with_the_name_and_port_that_were_asked() -> None:
    assert is_own_origin("https://Gallery.example", "gallery.example") and is_own_origin("http://[::1]:8", "[::1]:8")
    assert not any(is_own_origin(origin, "a:8") for origin in ("http://a", "http://a:9", "ftp://a:8", "null", "", "a:8"))


def test_the_secret_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    drawn = kept_secret(path)
    assert len(drawn) == 32 and kept_secret(path) == drawn and kept_secret(tmp_path / "other") != drawn
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and os.listdir(path.parent) == ["secret"]
