import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexlip_es import duplicates
from lexlip_es.duplicates import MOST_IN_BAND, RADIUS, group_hashes, group_names, near_pairs
from lexlip_es.perceptual import HASH_BYTES, SHAPE_BYTES
from lexlip_es.queries import fold

Bytes = Any


def made(count: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, HASH_BYTES), dtype=np.uint8)


def flipped(one: Bytes, *bits: int) -> Bytes:
    shape = np.unpackbits(one)
    shape[list(bits)] ^= 1
    return np.packbits(shape)


def ascending(hashes: Bytes) -> Bytes:
    return np.unique(np.asarray(hashes, np.uint8), axis=0)


def names(contents: Bytes, looks: Bytes, has_looks: Bytes | None = None) -> list[bytes]:
    """The first byte of each one's group."""
    known = np.ones(len(contents), bool) if has_looks is None else has_looks
    content = np.frombuffer(b"".join(bytes([number]) * 32 for number in contents), "V32")
    found = group_names(content, np.frombuffer(np.asarray(looks, np.uint8).tobytes(), f"V{HASH_BYTES}"), known)
    return [name.tobytes()[0] for name in found]


def test_pairs_are_those_within_the_radius_as_comparing_all_with_all_finds_them() -> None:
    random, hashes = np.random.default_rng(1), [*made(200)]
    for original in list(hashes):
        for errors in (5, 20, RADIUS, RADIUS + 1, 40):
            hashes.append(flipped(original, *random.choice(100, errors, replace=False)))  # other bands stay as they are
    hashes = ascending(hashes)
    apart = np.array([np.unpackbits(hashes[:, :SHAPE_BYTES] ^ one[:SHAPE_BYTES], axis=1).sum(1) for one in hashes])
    expected = np.argwhere(np.triu(apart <= RADIUS, 1))
    assert near_pairs(hashes).tolist() == expected.tolist()
    assert len(expected) > 600


def test_colours_decide_where_shapes_are_equal() -> None:
    one = made(1)[0]
    one[SHAPE_BYTES:] = 0x88
    alike, other = one.copy(), one.copy()
    alike[40], other[40] = 0xA8, 0x8B  # two steps in Cb, three in Cr
    assert len(near_pairs(ascending([one, alike]))) == 1
    assert len(near_pairs(ascending([one, other]))) == 0


def test_a_chain_of_neighbours_is_no_group() -> None:
    hashes = [made(1)[0]]
    for link in range(8):
        hashes.append(flipped(hashes[-1], *range(20 * link, 20 * link + 20)))
    ordered = ascending(hashes)
    middles = group_hashes(ordered)
    assert len(set(middles.tolist())) >= 3
    for one, middle in zip(ordered, ordered[middles], strict=True):
        assert np.unpackbits(one ^ middle).sum() <= RADIUS


def test_of_a_crowd_of_look_alikes_few_are_compared_with_each_other() -> None:
    random = np.random.default_rng(0)
    one = made(1)[0]
    crowd = ascending([flipped(one, *random.choice(256, 3, replace=False)) for _ in range(MOST_IN_BAND * 3)])
    assert len(near_pairs(crowd)) < 0.05 * len(crowd) ** 2 / 2  # copies number tens or hundreds, and a crowd must not cost hours
    assert len(near_pairs(crowd[:100])) == 100 * 99 / 2


def test_a_burst_of_near_copies_is_held_once_and_not_for_each_band() -> None:
    random = np.random.default_rng(0)
    burst = ascending([flipped(made(1)[0], *random.choice(256, 3, replace=False)) for _ in range(600)])
    pairs = len(burst) * (len(burst) - 1) // 2
    tracemalloc.start()
    middles = group_hashes(burst)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 24 * pairs + 12_000_000  # each pair, and it from both sides; the work on one portion
    assert len(set(middles.tolist())) == 1
    assert sum(map(len, duplicates._near(burst, RADIUS, 2))) == len(near_pairs(burst)) == pairs


def test_a_pair_that_a_crowded_band_leaves_out_is_found_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_IN_BAND", 8)
    random = np.random.default_rng(2)
    hashes = [flipped(one, *random.choice(256, random.integers(1, 22), replace=False)) for one in made(4) for _ in range(40)]
    hashes = ascending(hashes)
    bands = hashes[:, :SHAPE_BYTES].copy().view(np.uint16)
    crowded = (bands[:, None] == bands).sum(1) > 8
    compared = ((bands[:, None] == bands) & ~crowded).any(2)
    apart = np.array([np.unpackbits(hashes[:, :SHAPE_BYTES] ^ one[:SHAPE_BYTES], axis=1).sum(1) for one in hashes])
    expected = np.argwhere(np.triu(compared & (apart <= RADIUS), 1))
    assert near_pairs(hashes).tolist() == expected.tolist()
    assert 100 < len(expected) < np.triu(apart <= RADIUS, 1).sum()


def test_a_group_is_named_by_its_smallest_content_hash() -> None:
    one, other = made(2)
    assert names([9, 5, 7, 3], [one, flipped(one, 1, 2), flipped(one, 3), other]) == [5, 5, 5, 3]


def test_equal_content_is_one_group_whatever_is_known_of_its_looks() -> None:
    one, other = made(2)
    assert names([9, 9, 4, 4], [one, other, one, other], np.array([True, False, False, False])) == [9, 9, 4, 4]
    # Decoders of two versions saw the same file differently: still one group, by the same hash in any order.
    assert names([9, 9, 4], [one, other, one]) == names([9, 9, 4], [other, one, one])


def test_nothing_at_all_is_grouped_too() -> None:
    assert names([3, 2], made(2), np.zeros(2, bool)) == [3, 2]
    assert len(group_hashes(made(0))) == 0


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 2**31))
def test_groups_depend_on_the_set_and_never_on_the_order(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    base = made(6, seed)
    looks = np.array([flipped(base[i % 6], *random.choice(256, random.integers(0, 20), replace=False)) for i in range(40)])
    contents = random.permutation(200)[:40]
    known = random.random(40) < 0.9
    there = names(contents, looks, known)
    assert names(contents[order], looks[order], known[order]) == [there[i] for i in order]


@pytest.mark.parametrize("portion", [1, 7, 1 << 18])
def test_pairs_do_not_depend_on_the_size_of_portions(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = ascending([flipped(one, bit) for one in made(20) for bit in range(5)])
    expected = near_pairs(hashes).tolist()
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", portion)
    assert near_pairs(hashes).tolist() == expected
    assert len(expected) == 20 * 10


def test_folding_keeps_the_best_of_each_group_and_counts_the_others() -> None:
    hits = [{"_id": str(i), "_source": {"duplicate_group": group}} for i, group in enumerate("aabacb")]
    assert [(hit["_id"], others) for hit, others in fold(hits, 10)] == [("0", 2), ("2", 1), ("4", 0)]
    assert [hit["_id"] for hit, _ in fold(hits, 2)] == ["0", "2"]
    assert [hit["_id"] for hit, _ in fold([{"_id": "1"}, {"_id": "2"}], 5)] == ["1", "2"]  # of documents that name no group
