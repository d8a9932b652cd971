import base64
from pathlib import Path

import pytest

from lexlip_es.engines import ConnectionSettings
from lexlip_es.engines.access import Access
from lexlip_es.errors import UsageError


def read(url: str | None = None, **env: str) -> ConnectionSettings:
    return ConnectionSettings.from_environment({f"LEXLIP_ES_{name}": value for name, value in env.items()}, url=url)


def test_nothing_set_means_the_embedded_engine() -> None:
    assert read() == ConnectionSettings()
    assert read(URL="", PASSWORD=" ", USERNAME="") == ConnectionSettings()


def test_several_urls_are_separated_by_commas() -> None:
    assert read(URL="http://a:9200, https://b/es/").urls == ("http://a:9200", "https://b/es")


def test_the_option_wins_over_the_environment() -> None:
    assert read("http://option:1", URL="http://environment:2").urls == ("http://option:1",)


def test_credentials_in_a_url_are_taken_out_of_it() -> None:
    settings = read(URL="https://ann:s%3Acr%40et@search.example:9200/es", USERNAME="bob", PASSWORD="other")
    assert settings.urls == ("https://search.example:9200/es",)
    assert (settings.username, settings.password) == ("ann", "s:cr@et")


@pytest.mark.parametrize("name", ["API_KEY", "BEARER"])
def test_secrets_are_not_in_the_repr(name: str) -> None:
    assert "hush" not in repr(read(**{name: "hush"}))
    assert "hush" not in repr(read(URL="http://ann:hush@a:9200"))


@pytest.mark.parametrize(
    "url",
    [
        "a:9200",
        "ftp://a",
        "http://",
        "http://a:port",
        "http://a:9200?x=1",
        "http://a:9200,b:9200",
        "//ann:hush@a",
        "https://ann:hush",
        "https://ann:hu/sh@a",
        "https://ann:hu sh",
        "http://ann:hush@a:9200#x",
    ],
)
def test_what_is_not_a_url_is_refused_by_the_name_of_its_variable_without_any_of_it(url: str) -> None:
    with pytest.raises(UsageError, match=r"write it as http://HOST:PORT|leave out") as refused:
        read(URL=url)
    assert "LEXLIP_ES_URL" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("ann", "hu", "9200", "ftp"))


@pytest.mark.parametrize("url", ["http://search.example", "http://search.example/es", "http://[::1]", "http://a:9200,http://b"])
def test_a_port_that_programs_disagree_about_must_be_written(url: str) -> None:
    with pytest.raises(UsageError, match=r"LEXLIP_ES_URL names no port: write it, for example http://HOST:9200"):
        read(URL=url)
    with pytest.raises(UsageError, match="--url names no port"):
        read("http://search.example")
    assert read(URL="http://search.example:80").urls == ("http://search.example:80",)


def test_https_without_a_port_means_443() -> None:
    (node,) = Access.of(read(URL="https://search.example/es")).nodes
    assert (node.port, node.url) == (443, "https://search.example:443/es")


def test_nodes_of_one_cluster_take_one_login() -> None:
    same = read(URL="https://ann:hush@a, https://ann:hush@b, https://c")
    assert (same.username, same.password, len(same.urls)) == ("ann", "hush", 3)
    for other in ("bob:hush", "ann:other"):
        with pytest.raises(UsageError, match="LEXLIP_ES_URL holds different logins") as refused:
            read(URL=f"https://ann:hush@a,https://{other}@b")
        assert not any(secret in str(refused.value) for secret in ("ann", "bob", "hush", "other@"))


@pytest.mark.parametrize("name", ["CA_CERTS", "CA_FINGERPRINT", "CLIENT_CERT"])
def test_trust_that_no_url_would_use_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    given = {name: "ab" * 32 if name == "CA_FINGERPRINT" else str(file)}
    with pytest.raises(UsageError, match=f"LEXLIP_ES_{name} means nothing for http://a:9200, http://b:9200: write https://"):
        read(URL="http://a:9200,http://b:9200", **given)
    assert read(URL="http://a:9200,https://b", **given).urls == ("http://a:9200", "https://b")


def test_a_comma_in_a_password_ends_no_url() -> None:
    settings = read(URL="https://ann:s,cr,et@a:9200, https://b,")
    assert settings.urls == ("https://a:9200", "https://b")
    assert settings.password == "s,cr,et"


@pytest.mark.parametrize("url", ["https://ann:hush@a:9200", "https://ann@a", "https://ann:hu,sh@a", "//ann:hush@a"])
def test_the_option_takes_no_credentials_since_a_shell_keeps_them(url: str) -> None:
    with pytest.raises(UsageError, match=r"--url .*LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD, or LEXLIP_ES_URL") as refused:
        read(url)
    assert "ann" not in str(refused.value)
    assert "hu" not in str(refused.value)


@pytest.mark.parametrize("name", ["API_KEY", "BEARER"])
@pytest.mark.parametrize("value", ["hush\nhush", "hushк"])
def test_a_key_that_no_header_can_carry_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"LEXLIP_ES_{name} holds a sign") as refused:
        read(**{name: value})
    assert "hush" not in str(refused.value)


def test_two_ways_to_log_in_are_refused() -> None:
    with pytest.raises(UsageError, match="more than one way"):
        read(URL="http://ann:hush@a:9200", API_KEY="key")
    with pytest.raises(UsageError, match="LEXLIP_ES_PASSWORD"):
        read(USERNAME="ann")


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ca\.pem"):
        read(CA_CERTS=str(tmp_path / "ca.pem"))


def test_a_fingerprint_is_sixty_four_digits_with_or_without_colons(tmp_path: Path) -> None:
    colons = ":".join(["AB"] * 32)
    assert read(CA_FINGERPRINT=colons).ca_fingerprint == "ab" * 32
    for wrong in ("ab" * 20, "xy" * 32):  # a SHA-1, and no digits
        with pytest.raises(UsageError, match="LEXLIP_ES_CA_FINGERPRINT is not a SHA-256"):
            read(CA_FINGERPRINT=wrong)
    ca = tmp_path / "ca.pem"
    ca.touch()
    with pytest.raises(UsageError, match="CA_FINGERPRINT are both set"):
        read(CA_FINGERPRINT=colons, CA_CERTS=str(ca))


def test_a_client_certificate_may_hold_its_key_but_no_key_comes_alone(tmp_path: Path) -> None:
    file = tmp_path / "ann.pem"
    file.touch()
    assert read(CLIENT_CERT=str(file)).client_cert == file
    with pytest.raises(UsageError, match="LEXLIP_ES_CLIENT_KEY is set without"):
        read(CLIENT_KEY=str(file))
    with pytest.raises(UsageError, match=r"LEXLIP_ES_CLIENT_CERT names .*bob\.pem"):
        read(CLIENT_CERT=str(tmp_path / "bob.pem"))


def cloud_id(decoded: str) -> str:
    return "my pictures:" + base64.b64encode(decoded.encode()).decode()


@pytest.mark.parametrize(
    ("decoded", "url"),
    [
        ("eu-west-1.aws.found.io$ab12$cd34", "https://ab12.eu-west-1.aws.found.io:443"),
        ("cloud.example:9243$ab12$", "https://ab12.cloud.example:9243"),
        ("cloud.example$ab12:9244$cd34:9245", "https://ab12.cloud.example:9244"),
    ],
)
def test_a_cloud_id_names_the_engine(decoded: str, url: str) -> None:
    assert read(CLOUD_ID=cloud_id(decoded), API_KEY="key").urls == (url,)
    assert read("http://option:1", CLOUD_ID=cloud_id(decoded)).urls == ("http://option:1",)
    with pytest.raises(UsageError, match="LEXLIP_ES_URL and LEXLIP_ES_CLOUD_ID are both set"):
        read(CLOUD_ID=cloud_id(decoded), URL="http://a")


@pytest.mark.parametrize("given", ["hush", cloud_id("cloud.example"), cloud_id("$ab$"), cloud_id("a/b$c$"), cloud_id("ä$b$c")])
def test_a_cloud_id_that_cannot_be_read_is_not_shown(given: str) -> None:
    with pytest.raises(UsageError, match="LEXLIP_ES_CLOUD_ID cannot be read") as refused:
        read(CLOUD_ID=given)
    assert given not in str(refused.value)


def test_signing_for_amazon_is_a_login_of_its_own() -> None:
    settings = read(URL="https://a", AWS_REGION="eu-west-1")
    assert (settings.aws_region, settings.aws_service) == ("eu-west-1", "es")
    with pytest.raises(UsageError, match="more than one way"):
        read(AWS_REGION="eu-west-1", BEARER="token")
    with pytest.raises(UsageError, match="write es, or aoss"):
        read(AWS_REGION="eu-west-1", AWS_SERVICE="s3")
