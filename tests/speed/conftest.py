"""Rows for the benchmarks when they are run as tests: few."""

import pytest

from tests.speed import rows


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> rows.Rows:
    return rows.write(tmp_path_factory.mktemp("rows") / "small", 1_000, 500)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> rows.Rows:
    return rows.write(tmp_path_factory.mktemp("rows") / "full", 10_000, 5_000)
