"""Apache Beam: tokens on any number of machines -> a vocabulary file. An extra: `maskdata[beam]`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from maskdata.data import _check, _vocabulary_file
from maskdata.data.vocabulary import Vocabulary, decode_tokens, max_tokens_of

WHO = "BuildVocabulary"


@final
class BuildVocabulary(beam.PTransform):
    """Count tokens with Apache Beam, and write the vocabulary of the most frequent ones.

    Stage: a PCollection of tokens -> **a vocabulary file**.

    For corpora that one machine cannot count in time. Gives the very file that
    `Vocabulary.build(...).save(path)` gives for the same tokens, byte for byte, on any runner:
    counts are exact, and ties are broken by the bytes of the token. `Vocabulary.load` reads it. The
    result is a PCollection of one element, the path.

    Args:
        path: Where to write: a file, or an object of any file system that Beam knows (`gs://...`).
        max_size: The most ids to have, the two reserved ones included; all by default. The tokens
            that are kept are gathered in the memory of one worker.
        min_count: How often a token must occur to be kept.

    Shapes:
        in: str, or bytes in UTF-8; or lists, tuples or arrays of them, such as all tokens of a text
        out: the path

    Raises:
        TypeError, ValueError: When built, for a bad argument; when run, for elements that are no
            tokens, tokens that are not UTF-8, or if none occurs `min_count` times.

    Example:
        >>> import apache_beam as beam
        >>> from maskdata.beam import BuildVocabulary
        >>> with beam.Pipeline() as pipeline:
        ...     texts = pipeline | beam.Create(["to be", "or not to be"])
        ...     _ = texts | beam.Map(str.split) | BuildVocabulary("vocabulary.txt", max_size=4)
        >>> md.Vocabulary.load("vocabulary.txt").tokens
        ('be', 'to')
    """

    def __init__(self, path: str, *, max_size: int | None = None, min_count: int = 1) -> None:
        super().__init__()
        _check.string(WHO, "path", path)
        if max_size is not None:
            _check.integer(WHO, "max_size", max_size, minimum=Vocabulary.num_reserved + 1)
        _check.integer(WHO, "min_count", min_count)
        self._path, self._max_size, self._min_count = path, max_size, min_count

    def expand(self, tokens: Any) -> Any:
        """Return the path, once the file is written."""
        min_count, size = self._min_count, max_tokens_of(self._max_size)
        counts = (
            tokens
            | "Flatten" >> beam.FlatMap(tokens_of).with_output_types(bytes)
            | "Count" >> beam.combiners.Count.PerElement()
            | "MinCount" >> beam.Filter(lambda token_and_count: token_and_count[1] >= min_count)
        )
        kept = (
            counts | "Gather" >> beam.combiners.ToList()
            if size is None
            else counts | "MostFrequent" >> beam.combiners.Top.Of(size, key=_rank, reverse=True)
        )
        return kept | "Write" >> beam.Map(_write, self._path)


def tokens_of(element: Any) -> Iterator[bytes]:
    r"""Yield the tokens of an element, as bytes.

    >>> list(tokens_of("é")), list(tokens_of(["to", b"be"]))
    ([b'\xc3\xa9'], [b'to', b'be'])
    """
    if isinstance(element, str):
        yield element.encode()
    elif isinstance(element, bytes):
        yield element
    elif isinstance(element, Iterable) and not isinstance(element, Mapping):
        for entry in element:
            yield from tokens_of(entry)
    else:
        must = "elements must be tokens, str or bytes, or lists of them"
        _check.refuse(WHO, must, element, "Tokenize first.", TypeError)


def _rank(token_and_count: tuple[bytes, int]) -> tuple[int, bytes]:
    """Return what the most frequent token has the least of; of equals, the one with the smaller bytes."""
    token, count = token_and_count
    return -count, token


def _write(counts: list[tuple[bytes, int]], path: str) -> str:
    in_order = [token for token, _ in sorted(counts, key=_rank)]
    vocabulary = Vocabulary(decode_tokens(WHO, in_order))
    unfinished = f"{path}.unfinished"
    with FileSystems.create(unfinished, mime_type="application/octet-stream") as file:
        file.write(_vocabulary_file.content(vocabulary.tokens))
    FileSystems.rename([unfinished], [path])
    return path
