"""Resumable: what it saves, and that it goes on with the same only."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import maskdata as md
from maskdata._resumable import _directory, _training
from tests.laws.resumable_runs import SOURCES, build_model, rows, to_keras
from tests.unit.resumable_fits import fit, untrained


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with one epoch of training on a plan."""
    directory = tmp_path_factory.mktemp("saved")
    fit(directory, "BatchPlan", epochs=1)
    return directory


def test_what_is_saved_of_a_plan_is_small(saved: Path) -> None:
    newest = _directory.latest(saved)
    assert sorted(path.name for path in newest.path.iterdir()) == ["manifest.json", "variables.npz"]
    position = {key: newest.manifest[key] for key in ("version", "epoch", "step", "identity")}
    assert len(json.dumps(position)) < 4096


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
