"""One pipeline, one device or two replicas: the same steps, the same loss, the same metrics.

Two logical CPU devices stand for two GPUs. The script trains the same model twice, once on
one device and once under MirroredStrategy, and prints how far apart the two end.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import maskdata as md

NUM_REPLICAS = 2
VOCABULARY_SIZE, NUM_TAGS = 50, 4


def make_rows(num_rows: int, seed: int) -> tf.data.Dataset:
    """Make rows of 1 to 60 ids; the tag of a step depends on its id and on the id before."""
    rng = np.random.default_rng(seed)
    ids = [rng.integers(0, VOCABULARY_SIZE, rng.integers(1, 61)) for _ in range(num_rows)]
    tags = [(row + np.roll(row, 1)) % NUM_TAGS for row in ids]
    return md.from_rows({"ids": ids, "tags": tags})


def make_pipeline() -> md.Chain:
    """Return the pipeline, which knows nothing of replicas but their number."""
    return md.Chain(
        md.Shuffle(1000, seed=1, reshuffle_each_iteration=False),
        md.BucketBySequenceLength("ids", [10, 20, 40], [51, 27, 13, 9]),
        md.CountBatches(),
        md.ToDense(),
        md.FillRows(multiple_of=NUM_REPLICAS),
        md.ToKeras(x=["ids", "ids_mask"], y="tags", sample_weight="tags_mask"),
    )


def make_model() -> keras.Model:
    """Return a compiled tagger; the same weights whenever it is called."""
    keras.utils.set_random_seed(0)
    ids = keras.Input([None], dtype="int64", name="ids")
    mask = keras.Input([None], dtype="int8", name="ids_mask")
    h = md.layers.AttachMask()([keras.layers.Embedding(VOCABULARY_SIZE, 16)(ids), mask])
    h = keras.layers.GRU(16, return_sequences=True)(h)
    model = keras.Model({"ids": ids, "ids_mask": mask}, keras.layers.Dense(NUM_TAGS)(h))
    model.compile(
        keras.optimizers.Adam(0.01),
        **md.compile_args(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["sparse_categorical_accuracy"],
        ),
    )
    return model


def train_and_evaluate(
    training: tf.data.Dataset, held_out: tf.data.Dataset
) -> tuple[keras.Model, dict[str, float]]:
    """Train for two epochs and evaluate on rows that were not trained on."""
    model = make_model()
    model.fit(training, epochs=2, verbose=0, shuffle=False)
    return model, model.evaluate(held_out, verbose=0, return_dict=True)


def main() -> None:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * NUM_REPLICAS,
    )
    prepare = make_pipeline()
    batches = prepare(make_rows(400, seed=0)), prepare(make_rows(200, seed=1))
    alone, alone_results = train_and_evaluate(*batches)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(NUM_REPLICAS)])
    with strategy.scope():
        together, together_results = train_and_evaluate(*batches)

    table = Table("after two epochs", "one device", f"{NUM_REPLICAS} replicas")
    steps = [str(keras.ops.convert_to_numpy(m.optimizer.iterations)) for m in (alone, together)]
    table.add_row("optimizer steps", *steps)
    for name, value in alone_results.items():
        table.add_row(name, f"{value:.6f}", f"{together_results[name]:.6f}")
    console = Console()
    console.print(table)
    apart = max(
        np.abs(a - b).max()
        for a, b in zip(alone.get_weights(), together.get_weights(), strict=True)
    )
    console.print(f"The weights are at most {apart:.1e} apart.")


if __name__ == "__main__":
    main()
