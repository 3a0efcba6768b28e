"""The benchmark cannot rot: all contenders give the rows, a plan has its costs, tables are printed."""

import pytest

from tests.speed import batch_plan
from tests.speed.rows import Rows

pytestmark = pytest.mark.speed


def test_all_contenders_do_the_work(full: Rows) -> None:
    assert set(batch_plan.print_comparison(full, rounds=1)) == set(batch_plan.CONTENDERS)


def test_costs_are_printed(small: Rows, full: Rows) -> None:
    batch_plan.print_costs([small, full])
