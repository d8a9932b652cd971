import pytest

from lexlip_es.errors import UsageError
from lexlip_es.names import alias_of, first_index, index_name, next_index


def test_without_a_name_pictures_and_texts_have_their_own() -> None:
    assert (index_name(None), index_name(None, "text"), index_name("")) == ("pictures", "texts", "pictures")


@pytest.mark.parametrize("name", ["holidays", "2024-07", "foto_ärger", "a.b"])
def test_a_plain_name_is_taken(name: str) -> None:
    assert index_name(name) == name


@pytest.mark.parametrize("name", ["*", "a*", "a,b", "_all", "-a", "+a", ".a", "A", "a b", "a/b", "a#b", "a:b", "a\n", "ä" * 125])
def test_what_an_engine_refuses_or_reads_as_several_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of an index"):
        index_name(name)


def test_the_numbered_index_and_its_alias_name_each_other() -> None:
    assert first_index("pictures") == "pictures-000001"
    assert alias_of("pictures-000001") == "pictures"
    assert alias_of("pictures") is None


def test_the_next_index_is_one_more_than_any_that_is_there() -> None:
    assert next_index("pictures", []) == first_index("pictures")
    assert next_index("pictures", ["pictures-000001", "pictures-000009", "pictures-old"]) == "pictures-000010"
    assert next_index("pictures", ["pictures-of-dogs-000004", "mine"]) == "pictures-000001"
