"""From text: all contenders do the work, ours and stock give the same batches; ratios are printed."""

import pytest

from tests.speed import text_pipeline
from tests.speed.compare import Here, compare
from tests.speed.performance_page import table_of_results
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import assert_same_batches

pytestmark = pytest.mark.speed


def test_all_contenders_do_the_work(small: Rows, full: Rows) -> None:
    results = compare([Here("tests.speed.text_pipeline")], small, full, rounds=1)
    assert {result.name: result.problem for result in results if result.problem} == {}
    ours = [text_pipeline.OURS]
    print("", *table_of_results(results, ours, len(full.row_lengths)), sep="\n")


@pytest.mark.parametrize("stock", [text_pipeline.row_by_row, text_pipeline.tokens_in_blocks])
def test_maskdata_gives_the_batches_of_tf_data_in_their_order(stock, small: Rows) -> None:
    assert_same_batches(text_pipeline.maskdata_text(small), stock(small))
