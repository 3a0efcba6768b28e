"""Law 10: a chain is one transform, however it is put together."""

import itertools

import pytest
from hypothesis import given

import maskdata as md
from tests.strategies import Element, Feed, all_kinds, as_rows, cut

STAGES = [
    md.Truncate({"ids": 4}),
    md.Shuffle(3, seed=1, reshuffle_each_iteration=False),
    md.BucketBySequenceLength("ids", [2], [2, 3]),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[::2])
def test_chains_in_chains_do_what_the_flat_chain_does(order: tuple[int, int, int]) -> None:
    first, second, third = (STAGES[n] for n in order)
    flat = md.Chain(first, second, third)
    nested = md.Chain(first, md.Chain(second, third))
    assert nested == flat == md.Chain(md.Chain(first, second), third)
    assert repr(nested) == repr(flat)
    by_hand = Feed(lambda rows: rows.apply(first).apply(second).apply(third))
    chained = Feed(nested)

    @given(all_kinds)
    def check(element: Element) -> None:
        blocks = cut(element, [0, len(element["number"])])
        assert [as_rows(b) for b in chained.read(blocks)] == [
            as_rows(b) for b in by_hand.read(blocks)
        ]

    check()


def test_an_empty_chain_changes_nothing() -> None:
    dataset = md.from_rows({"ids": [[1], [2]]})
    assert md.Chain()(dataset) is dataset
    assert repr(md.Chain()) == "Chain()"
    assert md.Chain(md.Chain(), STAGES[0]) == md.Chain(STAGES[0])


def test_the_law_catches_a_lost_stage() -> None:
    assert md.Chain(*STAGES) != md.Chain(*STAGES[:2])
    assert md.Chain(*STAGES) != md.Chain(*reversed(STAGES))
    assert hash(md.Chain(*STAGES[2:])) == hash(md.Chain(md.Chain(*STAGES[2:])))
