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


def test_rows_of_packed_rows_are_counted() -> None:
    rows = md.from_rows({"tokens": [[1, 2, 3], [4, 5], [], [6, 7, 8, 9]], "label": [0, 1, 2, 3]})
    packed = rows.apply(md.Pack({"tokens": 5}, batch_size=2, method="first_fit"))
    described = md.describe(packed, source=rows)
    assert (described.batches, described.rows, described.rows_lost) == (1, 4, 0)
    tokens = described.features["tokens"]
    assert (tokens.steps, tokens.slots, tokens.empty_rows) == (9, 10, 1)
    assert tokens.shapes == {(2, 5): 1}
    dropped = rows.apply(md.Pack({"tokens": 5}, 3, method="first_fit", drop_remainder=True))
    assert md.describe(dropped, source=rows).rows_lost == 4


def test_windows_and_steps_cut_of_packed_rows_are_counted() -> None:
    rows = md.from_rows({"tokens": [[1, 2, 3], [4, 5, 6, 7, 8]]})
    split = rows.apply(md.Pack({"tokens": 2}, batch_size=3, method="concat_then_split"))
    described = md.describe(split, source=rows)
    assert (described.rows, described.windows_added, described.rows_lost) == (5, 3, 0)
    cut = rows.apply(md.Truncate({"tokens": 2})).apply(md.Pack({"tokens": 2}, batch_size=2))
    assert md.describe(cut, source=rows).features["tokens"].steps_cut == 4


def test_packed_rows_for_keras() -> None:
    rows = md.from_rows({"tokens": [[1, 2, 3], [4, 5], [], [6, 7, 8, 9]], "label": [0, 1, 2, 3]})
    packed = rows.apply(md.Pack({"tokens": 5}, batch_size=2, method="first_fit"))
    x = ["tokens", "tokens_mask", "tokens_positions", "segment_mask"]
    for inputs in (x, x[:2] + x[3:]):
        to_keras = md.ToKeras(x=inputs, y="label", sample_weight="segment_mask")
        described = md.describe(packed.apply(md.CountBatches()).apply(to_keras))
        assert (described.rows, described.filler_rows) == (4, 0)
        assert described.features["tokens"].steps == 9
        assert described.features["y"].steps == 4
