"""Sharding by blocks and by files: no row lost, none read twice."""

from pathlib import Path

import pytest
import tensorflow as tf

import maskdata as md

PREPARE = md.Chain(
    md.Tokenize("text"),
    md.Shuffle(20, seed=1),
    md.BucketBySequenceLength("text", [2, 3], [2, 3, 4]),
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files of 0, 13 and 40 lines; line n of them all begins with n."""
    lines = [" ".join([str(n)] * (n % 4 + 1)) for n in range(53)]
    paths = [tmp_path / f"{n}.txt" for n in range(3)]
    for path, part in zip(paths, (lines[:0], lines[:13], lines[13:]), strict=True):
        path.write_text("".join(line + "\n" for line in part))
    return paths


def numbers(dataset: tf.data.Dataset) -> list[int]:
    return [int(row[0]) for batch in dataset for row in batch["text"].to_list()]


@pytest.mark.parametrize(
    ("workers", "block_size"),
    [(1, 4), (3, 4), (5, 16)],  # the last one has more workers than blocks
)
def test_shards_of_blocks(files: list[Path], workers: int, block_size: int) -> None:
    shards = [
        numbers(PREPARE(md.read_text(files, block_size=block_size).shard(workers, index)))
        for index in range(workers)
    ]
    assert sorted(number for shard in shards for number in shard) == list(range(53))


@pytest.mark.parametrize("workers", [2, 3])
def test_shards_of_files(files: list[Path], workers: int) -> None:
    shards = [numbers(PREPARE(md.read_text(files[index::workers]))) for index in range(workers)]
    assert sorted(number for shard in shards for number in shard) == list(range(53))


def test_fewer_files_than_workers_is_said(files: list[Path]) -> None:
    with pytest.raises(ValueError, match=r"read_text: files must name at least one file, got \[\]"):
        md.read_text(files[3::4])


@pytest.mark.parametrize("multiple_of", [1, 2])
def test_tf_distribute_gives_every_row_to_one_replica(files: list[Path], multiple_of: int) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    vocabulary = md.Vocabulary([str(n) for n in range(53)])
    prepare = md.Chain(
        PREPARE,
        md.Lookup("text", vocabulary),
        md.CountBatches(),
        md.ToDense(),
        md.FillRows(multiple_of),
        md.ToKeras(x=["text", "row_mask"]),
    )
    seen: list[int] = []
    for (batch,) in strategy.experimental_distribute_dataset(prepare(md.read_text(files))):
        ids, row_mask = (
            strategy.experimental_local_results(batch[name]) for name in ("text", "row_mask")
        )
        if multiple_of == 2:
            assert ids[0].shape[0] == ids[1].shape[0]
        for local_ids, local_mask in zip(ids, row_mask, strict=True):
            seen += [
                int(row[0]) - 2 for row, real in zip(local_ids, local_mask, strict=True) if real
            ]
    assert sorted(seen) == list(range(53))
