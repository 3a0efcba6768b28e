"""Rows for the benchmarks when they are run as tests: few."""

import pytest

from tests.speed import rows

# They run in environments of their own, which only `make bench` builds.
collect_ignore = ["peers"]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> rows.Rows:
    return rows.write(tmp_path_factory.mktemp("rows") / "small", 1_000, 500)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> rows.Rows:
    return rows.write(tmp_path_factory.mktemp("rows") / "full", 3_000, 1_500)
