"""From token ids: all our contenders do the work, buckets are those of tf.data; ratios are printed."""

import pytest

from tests.speed import token_ids
from tests.speed.compare import Here, compare
from tests.speed.performance_page import table_of_results
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import assert_same_batches

pytestmark = pytest.mark.speed


def test_all_contenders_do_the_work(small: Rows, full: Rows) -> None:
    results = compare([Here("tests.speed.token_ids")], small, full, rounds=1)
    assert {result.name: result.problem for result in results if result.problem} == {}
    ours = [token_ids.PLAN, token_ids.BUCKET]
    print("", *table_of_results(results, ours, len(full.row_lengths)), sep="\n")


@pytest.mark.parametrize(
    "rows_of", [token_ids.single_rows, token_ids.slices, token_ids.generated_rows]
)
def test_maskdata_gives_the_batches_of_tf_data_in_their_order(rows_of, small: Rows) -> None:
    assert_same_batches(token_ids.maskdata_bucket(small), token_ids.bucketed(rows_of)(small))
