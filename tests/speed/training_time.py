"""Training time, not only pipeline time: `fit` on the model of the demo, by how the rows are batched.

`python -m tests.speed.training_time` prints the table of docs/performance.md alone. Model, rows, loss and the
number of optimizer steps are the same; what differs is which rows stand together.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import maskdata as md
from maskdata.data.bucket_plan import BucketPlan
from tests.speed.performance_page import table

EXAMPLES = Path(__file__).parents[2] / "examples"
MAX_TOKENS = 4096


@dataclass(frozen=True)
class Work:
    """Rows of ids to train on and to test on, and where a row of each length belongs."""

    rows: tf.data.Dataset
    held_out: tf.data.Dataset
    num_characters: int
    buckets: BucketPlan

    @property
    def num_rows(self) -> int:
        return sum(bucket.rows for bucket in self.buckets.buckets)

    @property
    def batch_size(self) -> int:
        """Rows in a batch that give as many batches as the buckets do."""
        return round(self.num_rows / self.buckets.num_batches)


to_keras = md.ToKeras(x=["text", "text_mask"], y="tags", sample_weight="tags_mask")


def padded_batch(work: Work) -> tf.data.Dataset:
    """tf.data as people write it: single rows, shuffled, padded to the longest of each batch."""

    def with_masks(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        mask = tf.sequence_mask(batch.pop("length"), tf.shape(batch["text"])[1])
        return batch | {"text_mask": mask, "tags_mask": mask}

    rows = work.rows.unbatch().map(
        lambda row: {"text": row["text"], "tags": row["tags"], "length": tf.size(row["text"])}
    )
    batches = rows.cache().shuffle(work.num_rows, seed=0).padded_batch(work.batch_size)
    masked = batches.map(with_masks, num_parallel_calls=tf.data.AUTOTUNE)
    return masked.apply(md.CountBatches()).apply(to_keras)


def bucket(work: Work) -> tf.data.Dataset:
    """maskdata, streaming: shuffled, then like lengths together."""
    plan = work.buckets
    return md.Chain(
        md.Shuffle(work.num_rows, seed=0),
        md.BucketBySequenceLength("text", plan.bucket_boundaries, plan.bucket_batch_sizes),
        md.CountBatches(),
        md.ToDense(lengths={"text": list(plan.longest), "tags": list(plan.longest)}),
        to_keras,
    )(work.rows)


def batch_plan(work: Work) -> tf.data.Dataset:
    """maskdata, in memory: every epoch planned as a whole."""
    plan = md.BatchPlan(work.rows, "text", max_tokens=MAX_TOKENS, num_buckets=16, seed=0)
    longest = list(plan.buckets.longest)
    return md.Chain(md.ToDense(lengths={"text": longest, "tags": longest}), to_keras)(
        plan.dataset()
    )


CONTENDERS: dict[str, Callable[[Work], tf.data.Dataset]] = {
    "tf.data, shuffle and padded_batch": padded_batch,
    "maskdata, Shuffle and BucketBySequenceLength": bucket,
    "maskdata, BatchPlan": batch_plan,
}


def prepare(num_lines: int) -> Work:
    """Read the demo's lines of code."""
    sys.path.insert(0, str(EXAMPLES))
    import highlight_python as demo

    library = demo.Path(demo.sysconfig.get_path("stdlib"))
    held_out, training = demo.read_folder(library, num_lines, 0).split()
    characters = md.Vocabulary.build(demo.rows_of(training), "text", max_size=128)
    to_ids = md.Chain(md.Lookup("text", characters), md.Lookup("tags", demo.tag_vocabulary))
    rows, test = (to_ids(demo.rows_of(files)).cache() for files in (training, held_out))
    buckets = md.plan_buckets(rows, 16, features="text", max_tokens=MAX_TOKENS)
    return Work(rows, test.apply(demo.to_batches).apply(to_keras), characters.size, buckets)


class Clock(keras.callbacks.Callback):
    """How long each epoch took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.perf_counter() - self.started)


@dataclass(frozen=True)
class Outcome:
    seconds: float
    steps: int
    padding: float
    loss: float
    accuracy: float


def train(work: Work, dataset: tf.data.Dataset, epochs: int) -> Outcome:
    import highlight_python as demo

    keras.utils.set_random_seed(0)
    model = demo.build_model(work.num_characters)
    model.compile(
        keras.optimizers.Adam(5e-3, global_clipnorm=0.1),
        **md.compile_args("sparse_categorical_crossentropy", ["sparse_categorical_accuracy"]),
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    clock, steps = Clock(), int(dataset.cardinality())
    model.fit(
        dataset.with_options(options), epochs=epochs, shuffle=False, verbose=0, callbacks=[clock]
    )
    reached = model.evaluate(work.held_out.with_options(options), verbose=0, return_dict=True)
    described = md.describe(dataset).features["y"]
    return Outcome(
        float(np.median(clock.seconds[1:] or clock.seconds)),
        steps,
        described.padding,
        reached["token_loss"],
        reached["sparse_categorical_accuracy"],
    )


def compare(num_lines: int, epochs: int) -> dict[str, Outcome]:
    work = prepare(num_lines)
    return {name: train(work, make(work), epochs) for name, make in CONTENDERS.items()}


def table_of(outcomes: dict[str, Outcome]) -> list[str]:
    header = ["", "steps", "real steps", "seconds an epoch", "faster by", "loss", "accuracy"]
    plain = next(iter(outcomes.values()))
    rows = [
        [
            name,
            f"{outcome.steps:,}",
            f"{1 - outcome.padding:.0%}",
            f"{outcome.seconds:.1f}",
            f"{plain.seconds / outcome.seconds:.2f}",
            f"{outcome.loss:.4f}",
            f"{outcome.accuracy:.2%}",
        ]
        for name, outcome in outcomes.items()
    ]
    return table("lrrrrrr", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    print("\n".join(table_of(compare(arguments.lines, arguments.epochs))))
