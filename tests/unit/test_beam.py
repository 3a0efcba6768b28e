"""Vocabularies by Apache Beam: byte for byte the file of one process, whatever the runner and the tokens."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import maskdata as md
from maskdata.beam import BuildVocabulary

ODD = [
    "",
    "\x00",
    "a",
    "a\x00",
    "\n",
    "\r",
    "\\n",
    "\u2028",
    "日本",
    "é",
    "e\u0301",
    "[UNK]",
    "😀",
    " ",
]
"""Tokens that files, C strings, line ends, normal forms and reserved names could confuse."""


def corpus() -> list[list[str]]:
    """Return rows in which many tokens are equally frequent."""
    draw = random.Random(0)
    words = ODD + [f"w{n}" for n in range(40)]
    return [[draw.choice(words[: 1 + k % 54]) for _ in range(k % 9)] for k in range(300)]


ROWS = corpus()


def by_beam(path: Path, elements: Any = ROWS, runner: str | None = None, **settings: Any) -> bytes:
    options = {name: settings.pop(name) for name in [*settings] if name.startswith("direct_")}
    with beam.Pipeline(runner=runner, options=PipelineOptions(**options)) as pipeline:
        _ = pipeline | beam.Create(elements) | BuildVocabulary(str(path), **settings)
    return path.read_bytes()


def by_build(path: Path, num_datasets: int = 1, **settings: Any) -> bytes:
    parts = [ROWS[k::num_datasets] for k in range(num_datasets)]
    datasets = [md.from_rows({"tokens": part}, block_size=16) for part in parts]
    md.Vocabulary.build(datasets, "tokens", **settings).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("sizes", [{}, {"max_size": 30}, {"min_count": 9}], ids=str)
def test_the_file_is_the_same(sizes: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    expected = by_build(path, **sizes)
    assert by_build(path, num_datasets=2, **sizes) == expected
    assert by_build(path, num_datasets=2, max_tokens_in_memory=6, **sizes) == expected
    assert by_beam(path, **sizes) == expected
    assert list(tmp_path.iterdir()) == [path]
    if not sizes:
        assert set(md.Vocabulary.load(path).tokens) == set(itertools.chain(*ROWS))


def test_every_local_runner_and_form_of_elements(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    expected = by_build(path, max_size=20)
    assert by_beam(path, runner="BundleBasedDirectRunner", max_size=20) == expected
    threads = {"direct_running_mode": "multi_threading", "direct_num_workers": 2}
    assert by_beam(path, max_size=20, **threads) == expected
    tokens = [token for row in ROWS for token in row]
    assert by_beam(path, tokens, max_size=20) == expected
    assert by_beam(path, [token.encode() for token in tokens], max_size=20) == expected
    arrays = [np.array(tokens[:100], object), tuple(tokens[100:]), []]
    assert by_beam(path, arrays, max_size=20) == expected


@pytest.mark.slow
def test_several_processes_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    processes = {"direct_running_mode": "multi_processing", "direct_num_workers": 2}
    assert by_beam(path, max_size=20, **processes) == by_build(path, max_size=20)


def test_ties_in_another_order_are_another_file(tmp_path: Path) -> None:
    """The corpus has ties at the border, or the comparisons above would say little."""
    path = tmp_path / "vocabulary.txt"
    tokens = md.Vocabulary.build(md.from_rows({"tokens": ROWS}), "tokens").tokens
    counts = Counter(itertools.chain(*ROWS))
    last = next(n for n, (a, b) in enumerate(itertools.pairwise(tokens)) if counts[a] == counts[b])
    expected = by_beam(path, max_size=last + 3)
    md.Vocabulary(tokens[: last + 1]).save(path)
    assert path.read_bytes() == expected
    md.Vocabulary([*tokens[:last], tokens[last + 1]]).save(path)
    assert path.read_bytes() != expected


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: BuildVocabulary(3), TypeError, "BuildVocabulary: path must be a str, got 3."),
        (lambda: BuildVocabulary("v", max_size=2), ValueError, "max_size must be at least 3, got 2."),
        (lambda: BuildVocabulary("v", min_count=0), ValueError, "min_count must be at least 1, got 0."),
        (lambda: by_beam(Path("v"), [7]), TypeError, "BuildVocabulary: elements must be tokens, str or bytes, or lists of them, got 7. Tokenize first."),
        (lambda: by_beam(Path("v"), [{"a": 1}]), TypeError, "elements must be tokens, str or bytes, or lists of them, got {'a': 1}."),
        (lambda: by_beam(Path("v"), [b"\xff"]), ValueError, r"BuildVocabulary: tokens must be UTF-8, got b'\xff'."),
        (lambda: by_beam(Path("v"), []), ValueError, "Vocabulary: tokens must not be empty"),
        (lambda: by_beam(Path("v"), ["a"], min_count=2), ValueError, "Vocabulary: tokens must not be empty"),
    ],
)  # fmt: skip
def test_refusals(
    run: Callable[[], Any],
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(words)):
        run()
    assert list(tmp_path.iterdir()) == []
