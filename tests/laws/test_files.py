"""What was written is read: laws of the files of records."""

import functools
import tempfile
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import maskdata as md
from maskdata.data._fingerprint import calls_python, graph_of
from maskdata.data.tfrecord import _example_codec
from tests.laws.small_files import SMALL, write_small
from tests.laws.test_resume import check_resume
from tests.strategies import Feed, all_kinds, all_rows, as_rows, blocks, in_blocks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("whole") / "rows")


def in_turn(rows: list[Any], shards: int) -> list[Any]:
    """Return the rows file by file, as they stand in the files."""
    return [row for shard in range(shards) for row in rows[shard::shards]]


def check_round_trip(
    dataset: tf.data.Dataset,
    shards: int,
    block_size: int,
    read: Callable[..., Any] = md.read_tfrecord,
) -> None:
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "rows"
        rows = all_rows(dataset)
        manifest = md.write_tfrecord(dataset, directory, shards=shards)
        assert manifest == md.read_manifest(directory)
        assert [shard.num_rows for shard in manifest.shards] == [
            len(rows[shard::shards]) for shard in range(shards)
        ]
        for name, lengths in manifest.row_lengths.items():
            assert lengths.tolist() == [len(row[name]) for row in rows]
        again = read(directory, block_size=block_size)
        assert all_rows(again) == in_turn(rows, shards)
        assert again.element_spec == dataset.element_spec


@settings(max_examples=3)
@given(blocks(), st.integers(1, 5), st.integers(1, 5))
def test_what_was_written_is_read(
    drawn: tuple[Any, tf.data.Dataset], shards: int, block_size: int
) -> None:
    check_round_trip(drawn[1], shards, block_size)


def test_files_do_not_depend_on_how_the_rows_were_cut_into_blocks(tmp_path: Path) -> None:
    whole, cut_up = (
        md.write_tfrecord(in_blocks(SMALL, bounds), tmp_path / str(len(bounds)), shards=2)
        for bounds in ([0, 5], [0, 0, 2, 3, 5])
    )
    assert whole.checksum == cut_up.checksum  # the checksums of all files are in it


@pytest.mark.parametrize("bounds", [[0, 0], [0, 0, 5, 5]], ids=["no rows", "empty blocks"])
def test_more_files_than_rows(bounds: list[int]) -> None:
    check_round_trip(in_blocks(SMALL, bounds), shards=7, block_size=3)


def test_the_law_catches_a_lost_row() -> None:
    def losing_one(directory: Path, block_size: int) -> tf.data.Dataset:
        whole = md.read_tfrecord(directory, block_size=block_size)
        return whole.map(lambda block: {name: rows[:2] for name, rows in block.items()})

    with pytest.raises(AssertionError):
        check_round_trip(in_blocks(SMALL, [0, 5]), 1, 3, losing_one)


@functools.cache
def through_records() -> Any:
    """Encode and decode, no more than ten values at once; traced once."""
    spec = Feed(lambda rows: rows).dataset.element_spec
    function = tf.function(
        lambda block: _example_codec.decode(_example_codec.encode(block), spec),
        input_signature=[spec],
        autograph=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_example_codec, "SLOTS", 10)
        function.get_concrete_function()
    return function


@given(all_kinds)
def test_records_hold_the_rows_in_however_many_slices_they_are_encoded(element: Any) -> None:
    assert as_rows(through_records()(element)) == as_rows(element)


def test_files_take_turns_page_by_page(whole: Path) -> None:
    one, two = (
        all_rows(md.read_tfrecord(whole, features=["label"], cycle_length=files))
        for files in (1, 2)
    )
    assert b"".join(row["label"] for row in one) == b"acebd"
    # The second file's first page ends one byte before its first record does.
    assert b"".join(row["label"] for row in two) == b"acbed"


def test_reading_is_pure_and_resumes_where_it_stopped(whole: Path, tmp_path: Path) -> None:
    dataset = md.read_tfrecord(whole, block_size=2)
    assert not calls_python(graph_of(dataset))
    check_resume(dataset, tmp_path)


@pytest.mark.parametrize("policy", ["FILE", "DATA"])
def test_workers_of_a_strategy_share_the_rows(whole: Path, policy: str) -> None:
    dataset = md.read_tfrecord(whole, block_size=2)
    spec = dataset.element_spec
    shared = []
    for worker in range(2):
        share = tf.raw_ops.AutoShardDataset(
            input_dataset=tf.data.experimental.to_variant(dataset),
            num_workers=2,
            index=worker,
            auto_shard_policy=tf.data.experimental.AutoShardPolicy[policy].value,
            num_replicas=2,
            output_types=[tf.variant, tf.string],
            output_shapes=[tf.TensorShape([]), tf.TensorShape([None])],
        )
        shared += all_rows(tf.data.experimental.from_variant(share, spec))
    assert sorted(shared, key=itemgetter("label")) == all_rows(in_blocks(SMALL, [0, 5]))
