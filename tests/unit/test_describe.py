"""describe: counts by hand, and the table."""

import pytest
import tensorflow as tf

import maskdata as md

ROWS = md.from_rows(
    {
        "tokens": [[1, 2, 3], [], [4], [5, 6], [7]],
        "chars": [[["a"], ["b", "c"], []], [], [["d"]], [["e"], ["f"]], [["g", "h", "i"]]],
        "n": [0, 1, 2, 3, 4],
    }
)


def test_dense_batches() -> None:
    description = md.describe(ROWS.apply(md.PaddedBatch(2)))
    assert (description.batches, description.rows, description.rows_lost) == (3, 5, None)
    assert sorted(description.features) == ["chars", "tokens"]
    tokens = description.features["tokens"]
    assert (tokens.steps, tokens.slots, tokens.empty_rows) == (7, 6 + 4 + 1, 1)
    assert tokens.lengths == [3, 2, 1]
    assert tokens.shapes == {(2, 3): 1, (2, 2): 1, (1, 1): 1}
    assert tokens.padding == pytest.approx(4 / 11)
    chars = description.features["chars"]
    assert (chars.steps, chars.slots) == (9, 2 * 3 * 2 + 2 * 2 * 1 + 1 * 1 * 3)


def test_ragged_batches_are_counted_as_if_padded_to_the_longest_row() -> None:
    ragged = md.describe(ROWS.apply(md.RaggedBatch(2)))
    assert ragged == md.describe(ROWS.apply(md.PaddedBatch(2)))


@pytest.mark.parametrize("y", ["tokens", {"tags": "tokens"}])
def test_what_to_keras_gives(y: object) -> None:
    weight = "tokens_mask" if isinstance(y, str) else {"tags": "tokens_mask"}
    to_keras = md.ToKeras(x=["tokens", "tokens_mask"], y=y, sample_weight=weight)
    description = md.describe(ROWS.apply(md.Chain(md.PaddedBatch(2), md.CountBatches(), to_keras)))
    inputs, targets = (
        description.features["tokens"],
        description.features["y" if y == "tokens" else "tags"],
    )
    assert (inputs.steps, targets.steps) == (7, 7)
    assert inputs.slots == targets.slots == 11
    alone = md.describe(ROWS.apply(md.Chain(md.PaddedBatch(2), md.ToKeras(x="n"))))
    assert (alone.rows, alone.features) == (5, {})


def test_an_empty_dataset() -> None:
    description = md.describe(ROWS.take(0), source=ROWS)
    assert (description.batches, description.rows, description.rows_lost) == (0, 0, 5)
    assert "0 rows in 0 batches, 5 rows lost" in str(description)


def test_the_table() -> None:
    cut = ROWS.apply(md.Chain(md.Truncate({"tokens": 2}), md.PaddedBatch(2, features=["tokens"])))
    lines = str(
        md.describe(cut.map(lambda b: {k: b[k] for k in ("tokens", "tokens_mask", "tokens_cut")}))
    ).splitlines()
    assert lines[0] == "5 rows in 3 batches"
    header, row = (line for line in lines if "│" in line or "┃" in line)
    assert header.split("┃")[1].strip() == "feature"
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "tokens",
        "6",
        "33.3%",
        "2",
        "1 to 2",
        "1",
        "1",
    ]


def test_a_dataset_of_tensors_has_no_features_with_steps() -> None:
    numbers = tf.data.Dataset.range(6).batch(4)
    assert md.describe(numbers).rows == 6
