"""Train a syntax highlighter on Python's own standard library, from text to colours.

Rows are lines of code, of very different lengths; steps are characters; the target of each is the
class of its token: keyword, name, number, string, comment, operator or space. The accuracy is that
on files that the model never saw. It sees a line at a time: whether prose stands inside a docstring
that began three lines above, it has to guess.

    python examples/highlight_python.py                   # the standard library
    python examples/highlight_python.py --files my/code   # any other folder
"""

import argparse
import functools
import os
import sys
import sysconfig
import time
from pathlib import Path

from python_source import CLASSES, SourceFile, read_folder, tag_lines
from rich.console import Console
from rich.table import Table
from rich.text import Text

# TensorFlow writes to stderr before it looks at its log level, and when it starts the devices.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
stderr = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
try:
    import keras
    import numpy as np
    import tensorflow as tf

    import maskdata as md

    tf.config.list_logical_devices()
finally:
    os.dup2(stderr, 2)

LONGEST = 256
BOUNDARIES = [*range(8, 81, 8), 96, 128]
SIZES = [4096 // length for length in (*BOUNDARIES, LONGEST)]  # As many characters in each batch.
STYLES = {"k": "bold magenta", "d": "cyan", "s": "green", "c": "italic bright_black", "o": "yellow"}
SNIPPET = '''\
@functools.cache
def area(radius: float, unit="cm") -> str:
    """Return how large a pizza is."""
    square = 3.14159 * radius**2  # the crust is round enough
    if square >= 1e4 and unit == "cm":
        square, unit = square / 1e4, "m"
    return f"about {square:.1f} {unit}2"
'''

console = Console(highlight=False)


# From text to batches: all of this is maskdata.

split_characters = functools.partial(tf.strings.unicode_split, input_encoding="UTF-8")
tag_vocabulary = md.Vocabulary(list(CLASSES))
token_mean = md.losses.TokenMean("sparse_categorical_crossentropy")

to_characters = md.Chain(
    md.Tokenize("text", tokenizer=split_characters),
    md.Tokenize("tags", tokenizer=split_characters),
    md.Truncate({"text": LONGEST, "tags": LONGEST}),
)
to_batches = md.Chain(
    md.BucketBySequenceLength("text", bucket_boundaries=BOUNDARIES, bucket_batch_sizes=SIZES),
    md.CountBatches(),
    md.ToDense(),
)
to_keras = md.ToKeras(x=["text", "text_mask"], y="tags", sample_weight="tags_mask")


def rows_of(files: list[SourceFile]) -> tf.data.Dataset:
    lines = [line for file in files for line in file.lines]
    tags = [letters for file in files for letters in file.tags]
    return md.from_rows({"text": lines, "tags": tags}).apply(to_characters)


def build_model(num_characters: int) -> keras.Model:
    text = keras.Input([None], dtype="int64", name="text")
    mask = keras.Input([None], dtype="int8", name="text_mask")
    h = keras.layers.Embedding(num_characters, 32)(text)
    h = md.layers.AttachMask()([h, mask])
    h = keras.layers.Bidirectional(keras.layers.GRU(64, return_sequences=True))(h)
    classes = keras.layers.Dense(tag_vocabulary.size, activation="softmax")(h)
    return keras.Model({"text": text, "text_mask": mask}, classes)


def main() -> None:
    started = time.perf_counter()
    options = parse_arguments()
    keras.utils.set_random_seed(options.seed)

    with console.status("Reading files"):
        reading = read_folder(options.files, options.lines, options.seed)
    show("What was read", str(reading))
    if len(reading.files) < 2 or reading.num_lines < 100:
        too_little = "too little to learn from, it takes at least 100 lines in 2 Python files"
        print(f"{options.files}: {too_little}", file=sys.stderr)
        sys.exit(2)
    held_out_files, training_files = reading.split()

    training_rows = rows_of(training_files)
    characters = md.Vocabulary.build(training_rows, "text", max_size=128)
    to_ids = md.Chain(md.Lookup("text", characters), md.Lookup("tags", tag_vocabulary))
    shuffle = md.Shuffle(options.lines, seed=options.seed)
    rows = md.Chain(to_ids, shuffle)(training_rows)
    batches = to_batches(rows)
    held_out = md.Chain(to_ids, to_batches, to_keras)(rows_of(held_out_files))
    model = build_model(characters.size)

    report_padding(rows, batches)
    report_loss(model, rows)
    train(model, to_keras(batches), held_out, options.epochs)
    report_accuracy(model, held_out)
    report_snippet(model, to_ids)
    show(f"{time.perf_counter() - started:.0f} seconds in all")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = functools.partial(parser.add_argument, metavar="N", type=int)
    library = Path(sysconfig.get_path("stdlib"))
    add("--files", metavar="DIR", type=Path, default=library, help="a folder of Python files")
    add("--lines", default=40_000, help="how many lines to read, to train and to hold out")
    add("--epochs", default=2, help="how often to read the training lines")
    add("--seed", default=0, help="of the choice of lines, their order and the weights")
    options = parser.parse_args()
    if options.lines < 100 or options.epochs < 1 or options.seed < 0:
        parser.error("--lines must be at least 100, --epochs at least 1, --seed at least 0")
    return options


def report_padding(rows: tf.data.Dataset, batches: tf.data.Dataset) -> None:
    buckets = md.describe(batches)
    plain = md.describe(rows.apply(md.PaddedBatch(buckets.rows // buckets.batches)))
    table = table_of("rows", "characters", "cut", "batches", "slots", "padding")
    for name, found in (("PaddedBatch", plain), ("BucketBySequenceLength", buckets)):
        text = found.features["text"]
        counts = (found.rows, text.steps, text.steps_cut, found.batches, text.slots)
        table.add_row(name, *(f"{count:,}" for count in counts), f"{text.padding:.1%}")
    show("Padding: the same shuffled rows, in about as many batches", table)


def report_loss(model: keras.Model, rows: tf.data.Dataset) -> None:
    batch = rows.apply(md.RaggedBatch(32)).take(1).cache()
    longest = int(batch.get_single_element()["text"].bounding_shape()[1])
    versions = {
        "each row alone": md.PaddedBatch(1),
        f"padded to {longest} steps": md.ToDense(),
        f"padded to {2 * longest} steps": md.ToDense(lengths=2 * longest),
    }
    table = table_of("md.losses.TokenMean", "Keras' own")
    for name, version in versions.items():
        losses = mean_losses(model, md.Chain(version, md.CountBatches(), to_keras)(batch))
        table.add_row(name, *(f"{loss:.5f}" for loss in losses))
    show("The loss of one batch, given the same predictions, labels and weights", table)


def mean_losses(model: keras.Model, batches: tf.data.Dataset) -> np.ndarray:
    """Return the mean of both losses; a batch counts by its number of real characters."""
    losses = (token_mean, keras.losses.SparseCategoricalCrossentropy())
    values, counts = [], []
    for x, y, weight in batches:
        predicted = model.predict_on_batch(x)
        values.append([float(loss(y, predicted, sample_weight=weight)) for loss in losses])
        counts.append(float(tf.reduce_sum(weight)))
    return np.average(values, axis=0, weights=counts)


def train(
    model: keras.Model, training: tf.data.Dataset, held_out: tf.data.Dataset, epochs: int
) -> None:
    # Keras, which knows the number of batches, leaves an iterator before its end; tf.data's
    # autotuning may then keep it for as long again as it has run.
    no_autotuning = tf.data.Options()
    no_autotuning.autotune.enabled = False
    steps = int(training.cardinality()) * epochs
    rate = keras.optimizers.schedules.CosineDecay(
        1e-3, steps, alpha=0.01, warmup_target=1.5e-2, warmup_steps=steps // 20
    )
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=0.1), loss=token_mean)
    show(f"Training: {model.count_params():,} weights, {steps:,} steps")
    with console.status("Training"):
        model.fit(
            training.with_options(no_autotuning),
            validation_data=held_out.with_options(no_autotuning),
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report_epoch)],
        )


def report_epoch(epoch: int, logs: dict[str, float]) -> None:
    # Keras weighs batches by rows, not by characters: good enough to watch.
    losses = f"loss {logs['loss']:.3f}, on held-out files {logs['val_loss']:.3f}"
    console.print(f"epoch {epoch + 1}: {losses}")


def report_accuracy(model: keras.Model, held_out: tf.data.Dataset) -> None:
    """Count characters: Keras' own mean over batches depends on their padded lengths."""
    right, total = np.zeros([2, tag_vocabulary.size], int)
    for x, y, weight in held_out:
        labels, is_real = y.numpy(), weight.numpy() > 0
        is_right = model.predict_on_batch(x).argmax(axis=-1) == labels
        np.add.at(total, labels[is_real], 1)
        np.add.at(right, labels[is_real & is_right], 1)
    table = table_of("right", "of", "accuracy")
    kinds = zip(CLASSES.values(), range(md.Vocabulary.num_reserved, len(total)), strict=True)
    for name, ids in (*kinds, ("all", slice(None))):
        r, t = right[ids].sum(), total[ids].sum()
        table.add_row(name, f"{r:,}", f"{t:,}", f"{r / max(1, t):.2%}")
    show("Accuracy on held-out files, character by character", table)


def report_snippet(model: keras.Model, to_ids: md.Chain) -> None:
    lines = SNIPPET.splitlines()
    rows = rows_of([SourceFile(Path("snippet.py"), lines, tag_lines(SNIPPET)[: len(lines)])])
    to_batch = md.Chain(to_ids, md.PaddedBatch(len(lines)), md.CountBatches(), to_keras)
    x, _, _ = to_batch(rows).get_single_element()
    predicted = tag_vocabulary.decode(model.predict_on_batch(x).argmax(axis=-1))
    show("Code that it never saw")
    for line, tags in zip(lines, predicted, strict=True):
        real = list(zip(line, tags, strict=False))  # The other tags are those of the padding.
        console.print(Text.assemble(*((letter, STYLES.get(tag, "")) for letter, tag in real)))
        if not console.is_terminal:
            console.print("".join(tag for _, tag in real), markup=False)


def table_of(*columns: str) -> Table:
    table = Table("", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def show(title: str, content: Table | str | None = None) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    if content:
        console.print(content, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
