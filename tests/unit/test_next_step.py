"""NextStep: targets are the steps after, and never those of another row."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

import maskdata as md
from tests.strategies import Feed, all_kinds, as_rows, count_rows, cut, cuts


def test_each_step_has_the_next_one_of_its_row_as_target() -> None:
    pipeline = Feed(md.Chain(md.NextStep("ids", into="next"), md.NextStep("nested", into="after")))

    @given(st.data())
    def check(data: st.DataObject) -> None:
        element = data.draw(all_kinds)
        blocks = pipeline.read(cut(element, data.draw(cuts(count_rows(element)))))
        found = [row for block in blocks for row in as_rows(block)]
        for row, given_row in zip(found, as_rows(element), strict=True):
            for feature, into in (("ids", "next"), ("nested", "after")):
                steps = given_row[feature]
                pairs = zip(row[feature], row.pop(into), strict=True)
                assert list(pairs) == list(itertools.pairwise(steps))
                given_row[feature] = steps[:-1]
            assert row == given_row

    check()
