"""A small causal language model over Python's own source, trained packed and in buckets.

Rows are paragraphs of code, of very different lengths; steps are bytes; the target of each is the byte
after it. Packed, several paragraphs share a row, and a mask keeps them apart; in buckets, paragraphs
of like length are padded to the same length. Model and rows are the same. The table tells tokens a
second, padding, and the loss on paragraphs that the model never saw. Which of the two is faster depends
on the model: packed rows have less padding and one shape, but attention looks at more pairs of steps.

    python examples/pack_language_model.py
"""

import argparse
import os
import sysconfig
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers
from rich.console import Console
from rich.table import Table

import maskdata as md

LONGEST, BATCH_SIZE = 128, 16
SHUFFLE = md.Shuffle(20_000, seed=0, reshuffle_each_iteration=False)
"""The same order in each epoch: how many packed rows there are depends on it."""

NUM_BYTES = 256
INPUTS = ["tokens", "tokens_segment_ids", "tokens_positions"]


def read_paragraphs(num_bytes: int) -> list[str]:
    """Return paragraphs of the standard library, about so many bytes."""
    paragraphs: list[str] = []
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for paragraph in file.read_text(encoding="utf-8", errors="ignore").split("\n\n"):
            if num_bytes <= 0:
                return paragraphs
            paragraphs.append(paragraph.strip())
            num_bytes -= len(paragraph)
    return paragraphs


def rows_of(paragraphs: list[str]) -> tf.data.Dataset:
    """Return rows of bytes with the byte after each as its target, none longer than a packed row."""
    text = md.from_rows({"text": paragraphs})
    steps = text.map(lambda rows: {"tokens": bytes_of(rows["text"])})
    with_targets = steps.apply(md.NextStep("tokens", into="targets"))
    return with_targets.apply(md.SplitLong(["tokens", "targets"], LONGEST))


def bytes_of(text: tf.Tensor) -> tf.RaggedTensor:
    characters = tf.strings.bytes_split(text)
    codes = tf.io.decode_raw(characters.flat_values, tf.uint8)
    return characters.with_flat_values(tf.cast(codes[:, 0], tf.int32))


def packed(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Several paragraphs in each row."""
    drop_number = rows.map(lambda block: {name: block[name] for name in ("tokens", "targets")})
    prepare = md.Chain(
        SHUFFLE,
        md.Pack({"tokens": LONGEST, "targets": LONGEST}, batch_size=BATCH_SIZE),
        md.CountBatches(),
        md.ToKeras(x=INPUTS, y="targets", sample_weight="targets_mask"),
    )
    return prepare(drop_number)


def bucketed(rows: tf.data.Dataset) -> tf.data.Dataset:
    """One paragraph in each row, padded to the longest of its bucket; as many slots in each batch."""
    plan = md.plan_buckets(
        rows, 4, features=["tokens", "targets"], max_tokens=2 * LONGEST * BATCH_SIZE
    )

    def as_one_segment(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        mask = batch["tokens_mask"]
        positions = tf.cumsum(tf.ones_like(batch["tokens"]), axis=1, exclusive=True)
        alone = {"tokens_segment_ids": tf.cast(mask, tf.int32), "tokens_positions": positions}
        return batch | alone

    prepare = md.Chain(
        SHUFFLE,
        md.BucketBySequenceLength(plan.feature, plan.bucket_boundaries, plan.bucket_batch_sizes),
        md.CountBatches(),
        md.ToDense(lengths=plan.lengths),
    )
    to_keras = md.ToKeras(x=INPUTS, y="targets", sample_weight="targets_mask")
    return to_keras(prepare(rows).map(as_one_segment))


def build_model(num_blocks: int, width: int = 48) -> keras.Model:
    keras.utils.set_random_seed(0)
    tokens, segment_ids, positions = (
        keras.Input([None], dtype="int32", name=name) for name in INPUTS
    )
    embedded = layers.Add()(
        [layers.Embedding(NUM_BYTES, width)(tokens), layers.Embedding(LONGEST, width)(positions)]
    )
    h = md.layers.AttachMask()([embedded, segment_ids])
    allowed = md.layers.SegmentAttentionMask(causal=True)(segment_ids)
    for _ in range(num_blocks):
        attention = md.layers.MaskedMultiHeadAttention(num_heads=4, key_dim=width // 4)
        normed = layers.LayerNormalization()(h)
        h = layers.Add()([h, attention(normed, normed, attention_mask=allowed)])
        hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(h))
        h = layers.Add()([h, layers.Dense(width)(hidden)])
    logits = layers.Dense(NUM_BYTES)(layers.LayerNormalization()(h))
    return keras.Model([tokens, segment_ids, positions], logits)


def train(
    model: keras.Model, batches: tf.data.Dataset, held_out: tf.data.Dataset, epochs: int
) -> tuple[float, float]:
    """Return the seconds of an epoch after the first, and the loss on what was held out."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), **md.compile_args(loss))
    seconds: list[float] = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.fit(batches, verbose=0, shuffle=False)
        seconds.append(time.perf_counter() - start)
    results = model.evaluate(held_out, verbose=0, return_dict=True)
    return min(seconds[1:] or seconds), results["token_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=150_000, help="how much text to read")
    parser.add_argument("--epochs", type=int, default=2, help="how often to read it")
    parser.add_argument("--blocks", type=int, default=2, help="how many blocks of attention")
    options = parser.parse_args()
    paragraphs = read_paragraphs(options.bytes)
    held_out = bucketed(rows_of(paragraphs[::10]))
    training = rows_of([p for number, p in enumerate(paragraphs) if number % 10])
    table = Table("batches", "steps", "padding", "seconds an epoch", "tokens a second", "loss")
    for name, make in (("packed", packed), ("in buckets", bucketed)):
        batches = make(training)
        model = build_model(options.blocks)
        seconds, loss = train(model, batches, held_out, options.epochs)
        steps = md.describe(batches).features["y"]
        speed = f"{steps.steps / seconds:,.0f}"
        numbers = f"{int(batches.cardinality()):,}", f"{steps.padding:.1%}", f"{seconds:.1f}"
        table.add_row(name, *numbers, speed, f"{loss:.3f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
