"""Vocabulary files, and lookups that travel."""

import pickle
import re
from pathlib import Path

import pytest
import tensorflow as tf

import maskdata as md
from maskdata.data.lookup import lookup
from tests.preloaded import run

VOCABULARY = md.Vocabulary(["to", "be", "日本", "line\nbreak", "back\\slash", "", "\\n"])
ROWS = md.from_rows({"tokens": [["to", "?"], ["日本", "", "line\nbreak"]]})
IDS = [[2, 1], [4, 7, 5]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "vocabulary.txt"
    VOCABULARY.save(path)
    return path


def test_the_file_has_one_token_a_line(path: Path) -> None:
    header, *lines = path.read_bytes().decode().split("\n")
    assert re.fullmatch(r"# maskdata vocabulary 1: 7 tokens, sha256 [0-9a-f]{64}", header)
    assert lines == ["to", "be", "日本", r"line\nbreak", r"back\\slash", "", r"\\n", ""]
    assert md.Vocabulary.load(str(path)) == VOCABULARY
    assert list(path.parent.iterdir()) == [path]


BROKEN = {
    "cut in a line": (lambda text: text[:-2], "must hold 7 whole lines"),
    "cut after a line": (
        lambda text: text[: text.rindex(b"\n", 0, -1) + 1],
        "must hold 7 whole lines, got 6",
    ),
    "a line added": (lambda text: text + b"more\n", "must hold 7 whole lines, got 8"),
    "a token edited": (lambda text: text.replace(b"\nbe\n", b"\nBe\n"), "must have sha256 "),
    "two tokens swapped": (
        lambda text: text.replace(b"\nto\nbe\n", b"\nbe\nto\n"),
        "must have sha256 ",
    ),
    "a duplicate": (
        lambda text: text.replace(b"\nbe\n", b"\nto\n"),
        "must hold each token once, got ['to']",
    ),
    "CRLF line ends": (lambda text: text.replace(b"\n", b"\r\n"), "lines must end in \\n"),
    "invalid UTF-8": (lambda text: text.replace(b"\nbe\n", b"\nb\xff\n"), "must be UTF-8"),
    "no header": (lambda text: text.partition(b"\n")[2], "must start with a header"),
    "empty": (lambda text: b"", "must start with a header"),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text, "must start with a header"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_refused(fault: str, path: Path) -> None:
    damage, words = BROKEN[fault]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        md.Vocabulary.load(path)
    assert str(caught.value).startswith("Vocabulary.load: ")


def test_a_file_that_does_not_exist() -> None:
    with pytest.raises(
        FileNotFoundError,
        match=re.escape("Vocabulary.load: path must be an existing file, got 'no'"),
    ):
        md.Vocabulary.load("no")


def test_a_failed_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(fd: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="disk full"):
        md.Vocabulary(["other"]).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def ids_of(dataset: tf.data.Dataset) -> list[list[int]]:
    return dataset.get_single_element()["tokens"].to_list()


def test_lookup_of_ragged_and_dense_features() -> None:
    assert ids_of(ROWS.apply(md.Lookup("tokens", VOCABULARY))) == IDS
    dense = md.from_rows({"tokens": ["to", "?"], "other": ["be", "be"]})
    both = dense.apply(md.Lookup(["tokens", "other"], VOCABULARY)).get_single_element()
    assert both["tokens"].numpy().tolist() == [2, 1]
    assert both["other"].numpy().tolist() == [3, 3]


def test_lookup_survives_saving_the_dataset(tmp_path: Path) -> None:
    ROWS.apply(md.Lookup("tokens", VOCABULARY)).save(str(tmp_path / "saved"))
    assert ids_of(tf.data.Dataset.load(str(tmp_path / "saved"))) == IDS


def test_lookup_survives_pickling() -> None:
    transform = pickle.loads(pickle.dumps(md.Chain(md.Lookup("tokens", VOCABULARY))))
    assert transform == md.Chain(md.Lookup("tokens", VOCABULARY))
    assert ids_of(ROWS.apply(transform)) == IDS


def test_lookup_survives_export(tmp_path: Path) -> None:
    class Serving(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = VOCABULARY.table()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def ids(self, texts: tf.Tensor) -> tf.Tensor:
            return lookup(tf.strings.split(texts), self.table).to_tensor()

    tf.saved_model.save(Serving(), str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    assert served.ids(tf.constant(["to be", "?"])).numpy().tolist() == [[2, 3], [1, 0]]


def read_graph(graph: Path, ids: Path) -> None:
    variant = tf.raw_ops.DatasetFromGraph(graph_def=graph.read_bytes())
    spec = {
        "tokens": tf.TensorSpec([None, None], tf.int64),
        "tokens_mask": tf.TensorSpec([None, None], tf.bool),
    }
    batch = tf.data.experimental.from_variant(variant, spec).get_single_element()
    ids.write_text(str(batch["tokens"].numpy().tolist()))


def test_the_graph_of_a_dataset_looks_up_in_another_process(tmp_path: Path) -> None:
    dataset = ROWS.apply(md.Lookup("tokens", VOCABULARY)).apply(md.ToDense())
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=tf.data.experimental.to_variant(dataset))
    (tmp_path / "graph").write_bytes(graph.numpy())
    assert run(read_graph, tmp_path / "graph", tmp_path / "ids") == 0
    assert (tmp_path / "ids").read_text() == "[[2, 1, 0], [4, 7, 5]]"


def test_decode_of_tensors_and_nested_lists() -> None:
    ids = ROWS.apply(md.Lookup("tokens", VOCABULARY)).get_single_element()["tokens"]
    decoded = [["to", "[UNK]"], ["日本", "", "line\nbreak"]]
    assert VOCABULARY.decode(ids) == decoded
    assert VOCABULARY.decode(ids.to_tensor())[0] == ["to", "[UNK]", "[PAD]"]
    assert VOCABULARY.decode(ids.to_tensor().numpy())[1] == decoded[1]
    assert VOCABULARY.decode(2) == "to"


def test_a_vocabulary_is_a_value() -> None:
    assert md.Vocabulary(["a", "b"]) == md.Vocabulary(("a", "b")) != md.Vocabulary(["b", "a"])
    assert len({md.Vocabulary(["a"]), md.Vocabulary(["a"])}) == 1
    assert repr(md.Vocabulary(["a", "b"])) == "Vocabulary(['a', 'b']: 2 tokens)"
    assert repr(VOCABULARY).startswith("Vocabulary(['to', 'be', '日本', ...]: 7 tokens)")


def test_build_from_dense_labels() -> None:
    labels = md.from_rows({"label": ["b", "a", "b"]})
    assert md.Vocabulary.build(labels, "label").tokens == ("b", "a")
