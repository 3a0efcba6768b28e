"""The benchmark cannot rot: all contenders give the same batches, and the table is printed."""

import pytest

from tests.speed import text_pipeline


@pytest.mark.speed
def test_all_contenders_give_the_same_batches() -> None:
    seconds = text_pipeline.print_table(num_lines=20_000, num_words=5_000, rounds=1)
    assert set(seconds) == set(text_pipeline.CONTENDERS)
