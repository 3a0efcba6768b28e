"""One model, one dataset, every batching: what `evaluate` says, with maskdata and with stock Keras.

`python -m tests.invariance.evaluate_everywhere` prints the table of docs/masks.md.
"""

import functools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import maskdata as md
from tests import preloaded
from tests.passes import without_autotuning

NUM_ROWS, LONGEST = 5_000, 200
VOCABULARY_SIZE, NUM_TAGS = 40, 5
METRICS = ("token_loss", "accuracy", "top_2", "mean_iou")

BATCHINGS: dict[str, list[Any]] = {
    "batches of 1": [md.RaggedBatch(1)],
    "batches of 7": [md.RaggedBatch(7)],
    "batches of 32": [md.RaggedBatch(32)],
    "8 buckets of 32": [
        md.BucketBySequenceLength("ids", list(range(25, 200, 25)), [32] * 8),
    ],
    "buckets of 4096 slots": [
        md.BucketBySequenceLength("ids", [10, 25, 50, 100, 150], [409, 163, 81, 40, 27, 20]),
    ],
    "batches of 32, shuffled": [md.Shuffle(NUM_ROWS, seed=3), md.RaggedBatch(32)],
}


def make_rows(num_rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Make rows of 1 to 200 ids; short rows are harder, so that batching matters."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3.5, 1.0, num_rows).astype(int), 1, LONGEST)
    ids = [rng.integers(0, VOCABULARY_SIZE, length) for length in lengths]
    tags = [
        np.where(
            rng.random(len(row)) < min(1.0, len(row) / 60),
            row % NUM_TAGS,
            rng.integers(0, NUM_TAGS, len(row)),
        )
        for row in ids
    ]
    return ids, tags


def make_model() -> keras.Model:
    """Return a tagger whose every step sees the mean of the row, which padding would change."""
    keras.utils.set_random_seed(0)
    ids = keras.Input([None], dtype="int64", name="ids")
    mask = keras.Input([None], dtype="int8", name="ids_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(VOCABULARY_SIZE, 16)(ids), mask])
    row = keras.layers.GlobalAveragePooling1D()(h)
    out = keras.layers.Dense(NUM_TAGS)(h + keras.ops.expand_dims(row, 1))
    return keras.Model({"ids": ids, "ids_mask": mask}, out)


def cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def metrics() -> list[keras.metrics.Metric]:
    return [
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2"),
        keras.metrics.MeanIoU(NUM_TAGS, sparse_y_pred=False, name="mean_iou"),
    ]


def truth(model: keras.Model, rows: tuple[list[np.ndarray], list[np.ndarray]]) -> dict[str, float]:
    """Return loss and metrics over all steps of the unpadded rows."""
    logits = [
        model({"ids": row[None], "ids_mask": np.ones([1, len(row)], np.int8)}).numpy()[0]
        for row in rows[0]
    ]
    y_true, y_pred = np.concatenate(rows[1]), np.concatenate(logits)
    values = {"token_loss": float(cross_entropy()(y_true, y_pred))}
    for metric in metrics():
        metric.update_state(y_true, y_pred)
        values[metric.name] = float(metric.result())
    return values


def batches(rows: Any, stages: list[Any], side: Any, replicas: int) -> tf.data.Dataset:
    prepare = md.Chain(
        *stages,
        md.CountBatches(),
        md.ToDense(side=side),
        md.FillRows(multiple_of=replicas),
        md.ToKeras(x=["ids", "ids_mask"], y="tags", sample_weight="tags_mask"),
        without_autotuning,
    )
    return prepare(md.from_rows({"ids": rows[0], "tags": rows[1]}))


@functools.cache
def compiled(replicas: int, *, stock: bool) -> keras.Model:
    """Return a model on this many replicas: it is traced once, not once for each batching."""
    devices = [f"CPU:{n}" for n in range(replicas)]
    strategy = (
        tf.distribute.MirroredStrategy(devices) if replicas > 1 else tf.distribute.get_strategy()
    )
    with strategy.scope():
        model = make_model()
        if stock:
            model.compile(loss=cross_entropy(), weighted_metrics=metrics()[:1])
        else:
            model.compile(**md.compile_args(loss=cross_entropy(), metrics=metrics()))
    return model


def evaluate(
    data: tf.data.Dataset, weights: list[np.ndarray], replicas: int, *, stock: bool
) -> dict[str, float]:
    model = compiled(replicas, stock=stock)
    model.set_weights(weights)
    values = model.evaluate(data, verbose=0, return_dict=True)
    return {name: float(value) for name, value in values.items()}


def measure(
    rows: Any, weights: list[np.ndarray], replicas: int, *, all_of_stock: bool
) -> dict[str, Any]:
    """Return what evaluate says for each batching on this many replicas."""
    measured: dict[str, Any] = {"maskdata": {}, "stock": {}}
    some = BATCHINGS if replicas == 1 else ("batches of 7", "buckets of 4096 slots")
    for name in some:
        key = name if replicas == 1 else f"{name}, {replicas} replicas"
        data = batches(rows, BATCHINGS[name], "right", replicas)
        measured["maskdata"][key] = evaluate(data, weights, replicas, stock=False)
        if all_of_stock or key == "buckets of 4096 slots":
            measured["stock"][key] = evaluate(data, weights, replicas, stock=True)
    for name in ("batches of 32", "buckets of 4096 slots") if replicas == 1 else ():
        data = batches(rows, BATCHINGS[name], "left", 1)
        measured["maskdata"][f"{name}, padded left"] = evaluate(data, weights, 1, stock=False)
    return measured


def measure_apart(
    num_rows: int, weights: list[np.ndarray], replicas: int, output: Path, *, all_of_stock: bool
) -> None:
    """Measure in a process that has as many devices as there are replicas."""
    devices = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    measured = measure(make_rows(num_rows), weights, replicas, all_of_stock=all_of_stock)
    output.write_text(json.dumps(measured))


def measure_everywhere(num_rows: int, *, all_of_stock: bool) -> list[dict[str, Any]]:
    """Return the truth, and what evaluate says, for 1, 2 and 4 replicas."""
    rows, model = make_rows(num_rows), make_model()
    model.compile("adam", md.losses.TokenMean(cross_entropy()))
    model.fit(batches(rows, BATCHINGS["buckets of 4096 slots"], "right", 1), epochs=2, verbose=0)
    weights = model.get_weights()
    measured = [measure(rows, weights, 1, all_of_stock=all_of_stock)]
    # One process for each: one that has reduced over 2 devices cannot reduce over 4.
    for replicas in (2, 4):
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory, "measured.json")
            apart = functools.partial(measure_apart, all_of_stock=all_of_stock)
            assert preloaded.run(apart, num_rows, weights, replicas, output) == 0
            measured.append(json.loads(output.read_text()))
    return [{"truth": truth(model, rows)} | of_replicas for of_replicas in measured]


def print_table(runs: list[dict[str, Any]]) -> None:
    true = runs[0]["truth"]
    print(
        "| batching | loss, stock Keras | loss, maskdata | accuracy, stock Keras | accuracy, maskdata |"
    )
    print("|---|---|---|---|---|")
    print(
        f"| **all steps, unpadded** | | **{true['token_loss']:.5f}** | | **{true['accuracy']:.5f}** |"
    )
    for run in runs:
        for name, ours in run["maskdata"].items():
            stock = run["stock"].get(name)
            loss, accuracy = (f"{stock[key]:.5f}" if stock else "" for key in ("loss", "accuracy"))
            print(
                f"| {name} | {loss} | {ours['token_loss']:.5f} | {accuracy} | {ours['accuracy']:.5f} |"
            )


if __name__ == "__main__":
    print_table(measure_everywhere(num_rows=NUM_ROWS, all_of_stock=True))
