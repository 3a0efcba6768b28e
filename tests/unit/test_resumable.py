"""Resumable: training that is stopped goes on as if it had not been, and saves when it must stop."""

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
from tests.laws.resumable_runs import SOURCES, build_model, digest_of, rows, to_keras
from tests.unit.resumable_fits import EPOCHS, STEPS, StopAt, fit, restarting, untrained


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


def test_training_that_ended_is_not_trained_further_unless_asked_to(
    whole: Any, tmp_path: Path
) -> None:
    first, model = fit(tmp_path, "BatchPlan", epochs=1)
    end = digest_of(model)
    again, same = fit(tmp_path, "BatchPlan", epochs=1)
    assert (again.history, digest_of(same)) == (first.history, end)
    more, model = fit(tmp_path, "BatchPlan", epochs=2)
    assert more.epoch == [0, 1]
    assert more.history["token_loss"][:1] == first.history["token_loss"]
    assert (more.history, digest_of(model)) == whole["BatchPlan"]


def test_steps_in_one_execution_and_validation(tmp_path: Path) -> None:
    plan, prepare = SOURCES["BatchPlan"]()
    options = {"validation_data": prepare(plan.stream(7).take(2))}
    expected, model = fit(tmp_path / "a", "BatchPlan", model=untrained(3), **options)
    end = digest_of(model)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "b", "BatchPlan", model=untrained(3), stop_at=STEPS + 6, **options)
    found, resumed = fit(tmp_path / "b", "BatchPlan", model=untrained(3), **options)
    assert (found.history, digest_of(resumed)) == (expected.history, end)
    assert len(found.history["val_token_loss"]) == EPOCHS
    model = build_model()
    model.steps_per_execution = 2
    with pytest.raises(ValueError, match=r"steps_per_execution must divide the 9 batches .* got 2"):
        fit(tmp_path / "b", "BatchPlan", model=model)


def test_on_two_replicas(tmp_path: Path) -> None:
    plan = md.BatchPlan(rows(), ["ids", "tags"], num_buckets=3, batch_size=8, seed=1)
    chain = md.Chain(md.ToDense(lengths=plan.buckets.lengths), md.FillRows(2), to_keras())
    # Not with collectives: those of two models in one process get mixed up.
    reduction = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], reduction).scope():
        model = build_model(unseeded_noise=False)  # which Keras cannot make on replicas
    restarted = restarting(model, chain(plan.stream()))

    def end_of(directory: Path, *, stop_at: int | None = None) -> tuple[Any, list[Any]]:
        callbacks = [] if stop_at is None else [StopAt(stop_at)]
        history = md.Resumable(directory, save_freq=2).fit(
            restarted(), plan, chain, epochs=2, verbose=0, callbacks=callbacks
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
