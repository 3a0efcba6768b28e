"""Resumable: what is saved, when, and what it refuses to go on with."""

import functools
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import maskdata as md
from maskdata._resumable import _directory, _model_state, _sources, _training
from tests.jax_process import run_on_jax
from tests.laws.resumable_runs import SOURCES, build_model, digest_of, rows, to_keras

EPOCHS, STEPS = 2, 9


class StopAt(keras.callbacks.Callback):
    """Ends `fit` at the end of a step, before it is saved."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations.numpy()) >= self.step:
            raise KeyboardInterrupt


@functools.cache
def _model_and_its_start() -> tuple[keras.Model, list[np.ndarray], Any]:
    model, (plan, prepare) = build_model(), SOURCES["BatchPlan"]()
    _model_state.make_variables(model, next(iter(prepare(plan.stream()))))
    start = [variable.numpy() for variable in _model_state.variables_of(model)]
    return model, start, _model_state._generator_of_unseeded_layers()


def untrained() -> keras.Model:
    """Return the model before its first step; each that is built takes a second to trace."""
    model, start, generator = _model_and_its_start()
    if generator is not _model_state._generator_of_unseeded_layers():
        _model_and_its_start.cache_clear()  # a seed was set since, and Keras draws from a new one
        return untrained()
    for variable, value in zip(_model_state.variables_of(model), start, strict=True):
        variable.assign(value)
    return model


def fit(
    directory: Path, source: str, *, stop_at: int | None = None, model: Any = None, **arguments: Any
) -> tuple[keras.callbacks.History, keras.Model]:
    model = model or untrained()
    callbacks = [] if stop_at is None else [StopAt(stop_at)]
    training = md.Resumable(directory, save_freq=2)
    options = {"epochs": EPOCHS, "verbose": 0, "callbacks": callbacks}
    return training.fit(model, *SOURCES[source](), **options | arguments), model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """Return the history and the end of training that is not interrupted."""
    ends = {}
    for source in SOURCES:
        history, model = fit(tmp_path_factory.mktemp("whole"), source)
        ends[source] = history.history, digest_of(model)
    return ends


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return directories of training that was stopped: in the first epoch, and in the second."""
    directories = {}
    for source, stop_at in (("BatchPlan", 5), ("dataset", 13)):
        directories[source] = tmp_path_factory.mktemp("stopped")
        with pytest.raises(KeyboardInterrupt):
            fit(directories[source], source, stop_at=stop_at)
    return directories


def resumed(stopped: dict[str, Path], source: str, directory: Path) -> tuple[Any, str]:
    shutil.copytree(stopped[source], directory / "copy")
    history, model = fit(directory / "copy", source)
    return history.history, digest_of(model)


@pytest.mark.parametrize("source", SOURCES)
def test_stopped_training_ends_where_training_ends(
    source: str, whole: Any, stopped: dict[str, Path], tmp_path: Path
) -> None:
    assert resumed(stopped, source, tmp_path) == whole[source]


def without(part: str) -> Callable[[Any, Path], None]:
    """Return `restore_variables` that forgets a part."""

    def restore(variables: list[Any], path: Path) -> None:
        before = [variable.numpy() for variable in variables]
        _model_state.restore_variables(variables, path)
        for variable, value in zip(variables, before, strict=True):
            if part in variable.path:
                variable.assign(value)

    return restore


FAULTS = {
    "the state of random layers": ("BatchPlan", _training, "restore_variables", without("seed_generator_state")),
    "the optimizer": ("BatchPlan", _training, "restore_variables", without("adam")),
    "the step": (
        "BatchPlan",
        _sources.Planned,
        "batches",
        lambda self, epoch, step, end, saved: self._prepare(self._plan.stream(epoch)),
    ),
    "the iterator": ("dataset", tf.train.Checkpoint, "read", lambda *_: None),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_law_catches_what_is_forgotten(
    fault: str,
    whole: Any,
    stopped: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, *broken = FAULTS[fault]
    monkeypatch.setattr(*broken)
    assert resumed(stopped, source, tmp_path)[0] != whole[source][0]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, str]:
    """Return a directory with one epoch of training on a plan, its history and its end."""
    directory = tmp_path_factory.mktemp("saved")
    history, model = fit(directory, "BatchPlan", epochs=1)
    return directory, history.history, digest_of(model)


@pytest.fixture(scope="module")
def saved(ended: tuple[Path, Any, str]) -> Path:
    return ended[0]


def test_training_that_ended_is_not_trained_further_unless_asked_to(
    ended: tuple[Path, Any, str], whole: Any, tmp_path: Path
) -> None:
    saved, first, end = ended
    directory = shutil.copytree(saved, tmp_path / "copy")
    again, same = fit(directory, "BatchPlan", epochs=1)
    assert (again.history, digest_of(same)) == (first, end)
    more, model = fit(directory, "BatchPlan", epochs=2)
    assert more.epoch == [0, 1]
    assert more.history["token_loss"][:1] == first["token_loss"]
    assert (more.history, digest_of(model)) == whole["BatchPlan"]


def test_steps_in_one_execution_and_validation(tmp_path: Path) -> None:
    def model(steps_per_execution: int = 3) -> keras.Model:
        built = build_model()
        built.steps_per_execution = steps_per_execution
        return built

    plan, prepare = SOURCES["BatchPlan"]()
    options = {"validation_data": prepare(plan.stream(7).take(2))}
    expected, end = fit(tmp_path / "a", "BatchPlan", model=model(), **options)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "b", "BatchPlan", model=model(), stop_at=STEPS + 6, **options)
    found, resumed = fit(tmp_path / "b", "BatchPlan", model=model(), **options)
    assert (found.history, digest_of(resumed)) == (expected.history, digest_of(end))
    assert len(found.history["val_token_loss"]) == EPOCHS
    with pytest.raises(ValueError, match=r"steps_per_execution must divide the 9 batches .* got 2"):
        fit(tmp_path / "b", "BatchPlan", model=model(2))


def test_on_two_replicas(tmp_path: Path) -> None:
    plan = md.BatchPlan(rows(), ["ids", "tags"], num_buckets=3, batch_size=8, seed=1)
    chain = md.Chain(md.ToDense(lengths=plan.buckets.lengths), md.FillRows(2), to_keras())

    def end_of(directory: Path, *, stop_at: int | None = None) -> tuple[Any, list[Any]]:
        # Not with collectives: those of two trainings in one process get mixed up.
        reduction = tf.distribute.ReductionToOneDevice()
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], reduction).scope():
            model = build_model(unseeded_noise=False)  # which Keras cannot make on replicas
        callbacks = [] if stop_at is None else [StopAt(stop_at)]
        history = md.Resumable(directory, save_freq=2).fit(
            model, plan, chain, epochs=2, verbose=0, callbacks=callbacks
        )
        return history.history, [v.numpy() for v in model.variables]

    expected, weights = end_of(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        end_of(tmp_path / "b", stop_at=13)
    found, resumed = end_of(tmp_path / "b")
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-6)
    for mine, theirs in zip(resumed, weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


ON_JAX = """
import sys
from pathlib import Path
import maskdata as md
from tests.laws.resumable_runs import rows
from tests.unit.test_resumable import StopAt, build_model, digest_of, to_keras

plan = md.BatchPlan(rows(), ["ids", "tags"], num_buckets=1, batch_size=8, seed=1, drop_remainder=True)
prepare = md.Chain(md.ToDense(lengths=8), to_keras())  # one shape, compiled once
ends = []
for name, stops in (("whole", [99]), ("stopped", [5, 99])):
    for stop_at in stops:
        model = build_model(unseeded_noise=False)  # which Keras refuses on JAX
        training = md.Resumable(Path(sys.argv[1], name), save_freq=2)
        try:
            history = training.fit(
                model, plan, prepare, epochs=2, verbose=0, callbacks=[StopAt(stop_at)]
            )
        except KeyboardInterrupt:
            continue
        ends.append((digest_of(model), history.history))
assert ends[0] == ends[1], ends
"""


@pytest.mark.slow
def test_on_jax(tmp_path: Path) -> None:
    run_on_jax(ON_JAX, str(tmp_path))


def test_sigterm_saves_and_goes_on_to_who_waited_for_it(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        step = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: (
                batch == 3 and signal.raise_signal(signal.SIGTERM)
            )
        )
        with pytest.raises(SystemExit):
            fit(tmp_path, "BatchPlan", callbacks=[step])
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is not before
    finally:
        signal.signal(signal.SIGTERM, before)
    saved = _directory.latest(tmp_path)
    assert (saved.manifest["epoch"], saved.manifest["step"]) == (0, 4)


def test_what_is_saved_of_a_plan_is_small(saved: Path) -> None:
    newest = _directory.latest(saved)
    assert sorted(path.name for path in newest.path.iterdir()) == ["manifest.json", "variables.npz"]
    position = {key: newest.manifest[key] for key in ("version", "epoch", "step", "identity")}
    assert len(json.dumps(position)) < 4096


def other_model() -> keras.Model:
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def other_plan(**changed: Any) -> md.BatchPlan:
    settings = {"num_buckets": 3, "batch_size": 8, "seed": 1} | changed
    return md.BatchPlan(rows(), ["ids", "tags"], **settings)


def test_it_goes_on_with_the_same_only(saved: Path) -> None:
    plan, prepare = SOURCES["BatchPlan"]()
    training = md.Resumable(saved)
    with pytest.raises(
        ValueError, match=r"Resumable: order must be what it was when .* was saved, .*Bring it back"
    ):
        training.fit(untrained(), other_plan(seed=2), prepare, epochs=2)
    with pytest.raises(ValueError, match="Resumable: prepare must be what it was"):
        training.fit(untrained(), plan, md.Chain(md.ToDense(pad_values=1), to_keras()), epochs=2)
    with pytest.raises(ValueError, match=r"Resumable: pipeline must be what it was when .*, got"):
        fit(saved, "dataset")
    model = build_model()
    model.compile("sgd", **md.compile_args("sparse_categorical_crossentropy"))
    with pytest.raises(
        ValueError,
        match=r"the model must have the \d+ variables saved, got .\d+ variables, of which",
    ):
        training.fit(model, plan, prepare, epochs=2)


def test_versions_are_compared(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "__version__", "3.99")
    with pytest.raises(ValueError, match=r"Resumable: keras must be what it was .* got '3.99'"):
        fit(saved, "BatchPlan")
    monkeypatch.setattr(_training, "VERSION", 2)
    with pytest.raises(
        ValueError, match=r"a save must be of version 2, got 1. Resume with the version"
    ):
        fit(saved, "BatchPlan")


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        (path / "part").write_text("half")
        raise OSError("No space left on device")

    _directory.save("Resumable", tmp_path, 1, {"epoch": 0}, lambda path: None)
    with pytest.raises(OSError, match="No space left"):
        _directory.save("Resumable", tmp_path, 2, {"epoch": 1}, full)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]
    assert _directory.latest(tmp_path).manifest == {"epoch": 0}


def test_a_directory_is_for_one_process(tmp_path: Path) -> None:
    with (
        _directory.held("Resumable", tmp_path),
        pytest.raises(ValueError, match="Resumable: no other process may train into the same"),
    ):
        fit(tmp_path, "BatchPlan")


def test_a_file_that_changed_is_noticed(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b\nb\na\n")

    def train(epochs: int) -> None:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        batches = (
            md.read_text(text)
            .apply(md.RaggedBatch(2, elements="blocks"))
            .map(
                lambda batch: (
                    tf.ones([tf.size(batch["text"]), 1]),
                    tf.ones([tf.size(batch["text"]), 1]),
                )
            )
        )
        md.Resumable(tmp_path / "saved").fit(model, batches, epochs=epochs, verbose=0)

    train(1)
    text.write_text("a b\nb\nc\n")
    with pytest.raises(ValueError, match=r"Resumable: files must be what it was .*sha256"):
        train(2)


def generated() -> tf.data.Dataset:
    spec = tf.TensorSpec([2, 1], tf.float32)
    return tf.data.Dataset.from_generator(
        lambda: iter([(np.ones([2, 1]), np.ones([2, 1]))]), output_signature=(spec, spec)
    )


def numbers() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((np.ones([6, 1]), np.ones([6, 1])))


REFUSED: list[tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = [
    (numbers().shuffle(6, seed=1).batch, {}, ValueError, "the order must not depend on how often the dataset was read, .*Pass a function of the epoch"),
    (lambda _: generated(), {}, ValueError, "the pipeline must not call Python functions"),
    (lambda _: numbers().batch(2).repeat(), {}, ValueError, "CountBatches: the dataset must have an end"),
    (lambda _: numbers().batch(2).map(lambda x, y: (x * tf.random.uniform([], dtype=x.dtype), y)), {}, ValueError, r"Resumable: tf.data must be able to save where it is in the data, got .*stateful"),
    (lambda _: [1, 2], {}, TypeError, "Resumable"),
    (numbers().batch, {"steps_per_epoch": 3}, TypeError, "Resumable: fit must not be given steps_per_epoch, got 3. The position"),
    (numbers().batch, {"epochs": 0}, ValueError, "Resumable: epochs must be at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "arguments", "error", "match"), REFUSED)
def test_refused(data: Any, arguments: Any, error: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=match):
        md.Resumable(tmp_path).fit(other_model(), data(2), **{"epochs": 1} | arguments)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Resumable: directory must be a path, got 3. Pass a str."):
        md.Resumable(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Resumable: save_freq must be at least 1, got 0"):
        md.Resumable("d", save_freq=0)


def test_a_prepare_that_leaves_batches_out_is_refused(tmp_path: Path) -> None:
    plan, prepare = SOURCES["BatchPlan"]()
    with pytest.raises(ValueError, match="prepare must keep the 9 batches of the plan, got 2"):
        md.Resumable(tmp_path).fit(untrained(), plan, lambda d: prepare(d).take(2), epochs=1)


def test_a_dataset_is_refused_on_replicas(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = other_model()
    with pytest.raises(ValueError, match="data must be a BatchPlan on several replicas"):
        md.Resumable(tmp_path).fit(model, numbers().batch(2), epochs=1)
