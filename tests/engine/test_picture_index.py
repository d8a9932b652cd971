"""The Python API on a real engine: its documented examples, exact explanations, deletions, threads and asyncio."""

import asyncio
import doctest
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lexlip_es import AsyncPictureIndex, PictureIndex, async_picture_index, picture_index
from lexlip_es.engines import ConnectionSettings, Engine, UnknownIndexError
from lexlip_es.errors import LexlipError, ModelMismatchError, UsageError
from lexlip_es.model_folder import ModelFolder
from tests.made_model import COLOURS, make_model

NAME = "holiday"
EXAMPLES = [
    example
    for module in (picture_index, async_picture_index)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module)
    if example.examples
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture
def pictures(
    engine: Engine, engine_url: str, model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PictureIndex]:
    """An index of the three pictures in `photos`, in the working directory; the environment names server and model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXLIP_ES_URL", engine_url)
    monkeypatch.setenv("LEXLIP_ES_MODEL", str(model.path))
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for colour, path in zip(COLOURS, ("red.png", "deep/green.jpg", "blue.png"), strict=True):
        Image.new("RGB", (20, 10), colour).save(Path("photos", path))
    with PictureIndex(name=NAME) as index:
        index.index("photos")
        yield index
    for name in engine.indices(f"{NAME}-*"):
        engine.delete_index(name)


@pytest.fixture
def sunset(pictures: PictureIndex, tmp_path: Path) -> str:
    """The id of a picture that holds two colours, in uneven parts."""
    folder = tmp_path / "evening"
    folder.mkdir()
    Image.new("RGB", (8, 8), (201, 37, 0)).save(folder / "sunset.png")
    pictures.index(folder)
    return pictures.search("red", filter={"term": {"path": "sunset.png"}}).hits[0].id


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.removeprefix("lexlip_es."))
@pytest.mark.usefixtures("pictures")
def test_documented_examples_do_what_they_say(example: doctest.DocTest) -> None:
    said: list[str] = []
    example.globs["PictureIndex"], example.globs["Path"] = PictureIndex, Path
    outcome = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    assert not outcome.failed, "".join(said)


def test_contributions_add_up_to_the_score_bit_for_bit(pictures: PictureIndex, sunset: str) -> None:
    (hit,) = pictures.search("red and green", filter={"ids": {"values": [sunset]}}).hits
    why = pictures.explain("red and green", sunset)
    assert [share.term for share in why.terms] == ["red", "green"]
    assert np.float32(sum(share.contribution for share in why.terms)) == np.float32(hit.score) == np.float32(why.score)
    assert why.terms == hit.terms


def test_a_picture_explains_why_it_is_like_another(pictures: PictureIndex, sunset: str, tmp_path: Path) -> None:
    why = pictures.explain(tmp_path / "evening" / "sunset.png", sunset)
    assert np.float32(sum(share.contribution for share in why.terms)) == np.float32(why.score)


def test_what_shares_no_term_scores_nothing_and_what_is_not_there_is_named(pictures: PictureIndex, sunset: str) -> None:
    why = pictures.explain("blue", sunset)
    assert (why.score, why.terms, why.path) == (0.0, [], "sunset.png")
    with pytest.raises(LexlipError, match="no picture with the id or path nobody and there is no such file"):
        pictures.explain("blue", "nobody")


def test_deleting_by_id_counts_what_was_there(pictures: PictureIndex, sunset: str) -> None:
    assert pictures.delete([sunset, "nobody"]) == 1
    assert pictures.delete([sunset]) == pictures.delete([]) == 0
    assert pictures.count() == 3


def test_deleting_all_leaves_the_index(pictures: PictureIndex) -> None:
    assert pictures.delete(filter={"match_all": {}}) == 3
    assert pictures.count() == 0
    assert pictures.search("red").hits == []


def copied(engine: Engine, index: str, mappings: dict[str, Any] | None = None) -> None:
    """Make an index like the one that serves, with the same documents and, for `mappings`, another mapping."""
    mapping = engine.indices(NAME)[f"{NAME}-000001"]["mappings"]
    engine.create_index(index, {"mappings": mapping | (mappings or {})})
    documents = [{"_id": hit["_id"], "source": hit["source"]} for hit in engine.scan(NAME)]
    assert all(result.ok for result in engine.bulk(index, documents))
    engine.refresh(index)


def test_a_deletion_that_a_rebuild_overtook_says_so(
    pictures: PictureIndex, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap_then_refresh(index: str) -> None:
        actions = [{"add": {"index": second, "alias": NAME}}, {"remove": {"index": first, "alias": NAME}}]
        engine.update_aliases(actions)
        engine.refresh(index)

    first, second = f"{NAME}-000001", f"{NAME}-000002"
    copied(engine, second)
    monkeypatch.setattr(pictures.engine, "refresh", swap_then_refresh)
    with pytest.raises(LexlipError, match=f"was rebuilt meanwhile and {first}, from which 3 pictures .*: delete once more"):
        pictures.delete(filter={"match_all": {}})
    monkeypatch.undo()
    assert pictures.delete(filter={"match_all": {}}) == 3
    assert pictures.count() == 0


def test_the_engine_says_the_terms_of_an_index_that_hides_them(pictures: PictureIndex, engine: Engine) -> None:
    lean = f"{NAME}-lean"
    copied(engine, lean, {"_source": {"excludes": ["terms"]}})
    with PictureIndex(name=lean) as index:
        hit = index.search("red").hits[0]
        assert hit.path == "red.png"
        assert index.explain("red", hit.id).terms == hit.terms == pictures.search("red").hits[0].terms


def test_deleting_nothing_in_particular_is_refused(pictures: PictureIndex) -> None:
    for refused in ({}, {"filter": {}}, {"ids": ["a"], "filter": {"match_all": {}}}, {"ids": "a"}):
        with pytest.raises(UsageError):
            pictures.delete(**refused)  # type: ignore[arg-type]
    assert pictures.count() == 3


def test_a_foreign_index_is_never_written_to(engine: Engine, index: str, pictures: PictureIndex) -> None:
    list(engine.bulk(index, [{"_id": "1", "source": {"path": "theirs"}}]))
    engine.refresh(index)
    foreign = PictureIndex(name=index)
    for write in (
        lambda: foreign.delete(["1"]),
        lambda: foreign.delete(filter={"match_all": {}}),
        lambda: foreign.index("photos"),
    ):
        with pytest.raises(LexlipError, match="was not made by lexlip-es"):
            write()
    assert foreign.count() == 1


def test_an_index_that_was_rebuilt_with_another_model_is_refused(engine: Engine, pictures: PictureIndex, tmp_path: Path) -> None:
    hit = pictures.search("red").hits[0]
    engine.delete_index(f"{NAME}-000001")
    make_model(tmp_path / "other", name="other", seed="1")
    with PictureIndex(name=NAME, model=tmp_path / "other") as other:
        other.index("photos")
    for _ in range(2):  # a refusal is not forgotten
        with pytest.raises(ModelMismatchError, match="other"):
            pictures.search("red")
        with pytest.raises(ModelMismatchError, match="other"):
            pictures.explain("red", hit.id)


def test_bad_requests_are_refused_in_a_sentence(pictures: PictureIndex) -> None:
    for k in (0, 10_001):
        with pytest.raises(UsageError, match="10000 hits"):
            pictures.search("red", k)
    with pytest.raises(UsageError, match="empty"):
        pictures.search(" ")
    with pytest.raises(UnknownIndexError):
        PictureIndex(name=f"{NAME}-of-nobody").search("red")


def test_settings_may_come_from_a_program(pictures: PictureIndex, engine_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEXLIP_ES_URL", "http://127.0.0.1:1")
    with PictureIndex(ConnectionSettings(urls=(engine_url,)), NAME) as index:
        assert index.count() == 3


def test_threads_share_one(pictures: PictureIndex) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda i: pictures.search(COLOURS[i % 3]).hits[0].path, range(60))
        assert list(found) == ["red.png", "deep/green.jpg", "blue.png"] * 20


@pytest.mark.usefixtures("pictures")
def test_awaited_calls_answer_alike_and_a_cancelled_one_harms_nobody() -> None:
    async def main() -> None:
        async with AsyncPictureIndex(name=NAME, threads=2) as index:
            many = [asyncio.create_task(index.search("red")) for _ in range(12)]
            await asyncio.sleep(0)
            for task in many[:11]:
                task.cancel()
            outcomes = await asyncio.gather(*many, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[:11])
            hit = (await many[11]).hits[0]
            assert (await index.explain("red", hit.id)).score == hit.score
            assert await index.count({"term": {"path": hit.path}}) == 1
        with pytest.raises(UsageError, match="not open"):
            await index.search("red")

    asyncio.run(main())


@pytest.mark.usefixtures("pictures")
def test_opening_that_fails_says_why_and_leaves_no_thread() -> None:
    async def main() -> None:
        async with AsyncPictureIndex("http://127.0.0.1:1"):
            raise AssertionError("nothing answers there")

    with pytest.raises(LexlipError, match=r"127\.0\.0\.1:1"):
        asyncio.run(main())


def test_the_package_is_imported_without_what_it_may_not_need() -> None:
    heavy = "{'numpy', 'opensearchpy', 'elasticsearch', 'asyncio'} & set(sys.modules)"
    said = subprocess.check_output([sys.executable, "-c", f"import sys, lexlip_es; print({heavy})"], text=True)
    assert said.strip() == "set()"
