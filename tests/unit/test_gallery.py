"""The pages of `--html`, read as a browser reads them."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexlip_es.errors import LexlipError
from lexlip_es.gallery import gallery, terms_page, write_page
from lexlip_es.images import PictureError
from lexlip_es.queries import Hit, TermShare, TextShare
from lexlip_es.searching import SearchResult
from lexlip_es.subjects import DescribedTerm

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>.jpg',
    "' onmouseover='alert(1)",
    "</title></style></svg></bdi><iframe src=//evil.example>",
    "<!--<base href=https://evil.example>",
    "javascript:alert(1)",
    "\u202egpj.exe \ud800 \x00 \x1b[2J",
    "&lt;script&gt; &amp;#x3c;",
]
TAGS = re.compile("html|meta|title|style|header|h1|bdi|p|ol|li|div|span|ul|svg|rect|details|summary|img")
ATTRIBUTES = re.compile("lang|charset|http-equiv|content|name|class|title|aria-hidden|width|height|alt|src")


class Page(HTMLParser):
    """A parsed page: elements with their attributes, texts, and the words and numbers of its bars, those by term apart."""

    def __init__(self, pieces: Iterable[str]) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.by_word: list[tuple[str | None, float]] = []
        self.by_term: list[tuple[str | None, float]] = []
        self._bars = self.by_word
        self.feed("".join(pieces))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.elements.append((tag, said))
        if tag == "details":
            self._bars = self.by_term
        elif said.get("class") == "hit":
            self._bars = self.by_word
        elif said.get("class") == "word":
            self._bars.append((said["title"], 0.0))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][1].get("class") == "given" and data.strip():
            self._bars[-1] = self._bars[-1][0], float(data)
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is read, without the style sheet."""
        return "".join(text for text in self.texts if ":root" not in text)

    def count(self, tag: str, kind: str | None = None) -> int:
        """How many elements there are of a tag (and a class)."""
        return sum(name == tag and (kind is None or said.get("class") == kind) for name, said in self.elements)


def share(term: str, contribution: float, by: str) -> TermShare:
    return TermShare(term, term, 1.0, contribution, contribution, by)


def made_hit(path: str = "a.jpg", terms: Iterable[TermShare] = (), **said: object) -> Hit:
    """A picture's hit."""
    shares = list(terms) or [share("dog", 0.5, "dog")]
    hit = Hit("1", path, sum(one.contribution for one in shares), shares, "/photos", details={"width": 4, "content_hash": path})
    return dataclasses.replace(hit, **said)  # type: ignore[arg-type]


def page_of(hits: list[Hit], thumbnail: Callable[[str], bytes] = str.encode, query: str = "a dog", **said: object) -> Page:
    result = SearchResult(query, "pictures", "model", 1, 2.0, hits)
    return Page(gallery(dataclasses.replace(result, **said), thumbnail))  # type: ignore[arg-type]


def missing(content_hash: str) -> bytes:
    raise PictureError(f"The file {content_hash} is gone.")


def is_harmless(page: Page) -> bool:
    """Whether a page has only what its author wrote: nothing that runs, nothing from elsewhere."""
    for tag, said in page.elements:
        sources = [value or "" for name, value in said.items() if name == "src"]
        if not (TAGS.fullmatch(tag) and all(map(ATTRIBUTES.fullmatch, said))):
            return False
        if not all(re.fullmatch(r"data:image/webp;base64,[A-Za-z0-9+/=]*", source) for source in sources):
            return False
    return not any(re.search(r"url\(|@import", text) for text in page.texts if ":root" in text)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), min_size=6, max_size=6))
def test_what_others_wrote_is_text_on_every_page(said: list[str]) -> None:
    path, query, caption, word, term, note = said
    hit = made_hit(path, [share(term, 0.5, word)], collection=f"/{path}", caption=caption, texts=[TextShare(word, 0.25)])
    for thumbnail in (missing, lambda _: b"picture"):
        page = page_of([hit], thumbnail, query, notes=[note], index=word)
        assert is_harmless(page)
        assert (page.count("li", "hit"), page.count("img"), page.count("details")) == (1, thumbnail is not missing, 1)
    assert is_harmless(Page(terms_page(query, [DescribedTerm(term, word, 0.5)], b"picture")))


def test_hostile_texts_are_read_as_they_are_written() -> None:
    for text in HOSTILE[:6] + HOSTILE[7:]:
        assert page_of([made_hit(text, caption=text)], query=text).text.count(text) == 4  # title, heading, name, caption
    assert r"\u202egpj.exe \ud800 \x00 \x1b[2J" in page_of([], query=HOSTILE[6]).text


def test_what_is_shown_adds_up_to_the_score_by_word_and_by_term() -> None:
    by = "skateboarder"
    terms = [share("skate", 0.5, by), share("##board", 0.25, by), share("##er", 0.125, by), share("street", 0.0625, "road")]
    hit = made_hit(terms=terms, texts=[TextShare("caption", 1.5)], score=2.4375)
    page = page_of([hit])
    assert page.by_word == [("caption (BM25)", 1.5), (by, 0.875), ("road", 0.062)]
    assert page.by_term == [("caption (BM25)", 1.5), (by, 0.875), ("street", 0.062)]
    assert "2.438" in page.text
    for shown in (page.by_word, page.by_term):
        assert sum(number for _, number in shown) == pytest.approx(hit.score, abs=0.0005 * (len(shown) + 1))
    widths = [said["width"] for tag, said in page.elements if tag == "rect"]
    assert widths == ["100.0%", "58.3%", "4.2%"] * 2


def test_a_picture_that_cannot_be_shown_says_why_and_the_others_are_shown() -> None:
    page = page_of([made_hit("here.jpg"), made_hit("gone.jpg")], lambda name: missing(name) if "gone" in name else b"x")
    assert [said["alt"] for tag, said in page.elements if tag == "img"] == ["here.jpg"]
    assert "The file gone.jpg is gone." in page.text and page.count("div", "picture") == 2


def test_a_text_has_no_place_for_a_picture() -> None:
    page = page_of([made_hit("t1", caption="a dog runs", details={"content_hash": "t1"})], missing)
    assert page.count("div", "picture") == 0 and "a dog runs" in page.text


def test_a_page_says_what_is_not_on_it() -> None:
    assert "Nothing in pictures matches the query." in page_of([]).text
    hidden = page_of([], cut=2, notes=["2 of the 2 best hits are hidden."]).text
    assert "2 of the 2 best hits are hidden." in hidden and "Nothing" not in hidden
    folded = page_of([made_hit(duplicates=3)]).text
    assert "1 hit in pictures" in folded and "3 duplicates" in folded and "and 3 like it" in folded
    by_filter = page_of([made_hit(terms=[share("dog", 0.0, "")], score=0.0)])
    assert by_filter.count("li", "hit") == 1


def test_hundreds_of_hits_are_all_there_in_their_order() -> None:
    page = page_of([made_hit(f"{number}.jpg") for number in range(300)])
    assert [said["alt"] for tag, said in page.elements if tag == "img"] == [f"{number}.jpg" for number in range(300)]
    assert "300 hits in pictures, best first." in page.text


def test_the_page_of_terms_shows_their_weights() -> None:
    page = Page(terms_page("dog.jpg", [DescribedTerm("dog", "dog", 2.5), DescribedTerm("er", "##er", 0.5)], b"x"))
    assert page.by_word == [("dog", 2.5), ("##er", 0.5)] and page.count("img") == 1
    assert "2 terms, heaviest first." in page.text


def test_a_page_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LexlipError, match="choose another file for --html"):
        write_page(tmp_path / "missing" / "a.html", gallery(SearchResult("q", "i", "m", 1, 1.0, []), missing))
