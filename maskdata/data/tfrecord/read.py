"""Files of records -> blocks of rows."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._sources import paths_of_files
from maskdata.data._types import Spec
from maskdata.data.tfrecord._example_codec import decode
from maskdata.data.tfrecord._unverified_records import check_first_records, read_unverified
from maskdata.data.tfrecord._verified_records import read_verified
from maskdata.data.tfrecord._whole_files import whole_files
from maskdata.data.tfrecord.check import TFRecordCheck
from maskdata.data.tfrecord.manifest import Manifest, read_manifest

PathLike = str | os.PathLike[str]


def read_tfrecord(
    source: PathLike | Sequence[PathLike],
    *,
    features: Sequence[str] | Mapping[str, Any] | None = None,
    block_size: int = 4096,
    cycle_length: int = 16,
    skip: TFRecordCheck | None = None,
    compression_type: str | None = None,
) -> tf.data.Dataset:
    """Read files of records into blocks, many rows at a time.

    Stage: files of records -> **blocks**.

    A directory that `write_tfrecord` made gives the features that were written. No row is given out
    before the bytes around it are known to be those that were written: a file that is missing, was cut
    anywhere, has a wrong byte or comes from another write is an error that names the file and
    where in it. Nothing is skipped unless you pass `skip`, which tells how many rows that is and why.
    Each byte is read twice, the second time from memory.

    Paths of files are files of anybody's Examples, read as `features` tells. **Nothing tells how many
    records they should have**: a file that was cut between two of them cannot be noticed.

    The files take turns. The order is the same in every pass and process; with one file it is the
    order in which the rows were written. The graph is pure TensorFlow: it can be checkpointed, and runs
    on the tf.data service.

    Args:
        source: A directory that `write_tfrecord` made; or the path of a file of Examples, or several.
        features: Which features to read. Of a directory, names, or None for all of them. Of files,
            a mapping of names to the specs of a block, such as
            `{"tokens": tf.RaggedTensorSpec([None, None], tf.int64)}`.
        block_size: Rows in a block; the last one may have fewer.
        cycle_length: How many files to read at once.
        skip: What `check_tfrecord` found in this directory: rows that are lost are left out.
        compression_type: Of files: None, `"GZIP"` or `"ZLIB"`.

    Shapes:
        out: the features that were written, ragged [B, (T), ...] or dense [B, ...],
            B = `block_size`

    Raises:
        TypeError, ValueError, FileNotFoundError: When called, for a bad argument; for files that are
            missing, too many, cut, or of another write; for features that the files do not have.
        tf.errors.InvalidArgumentError: When read, for bytes that are not those that were written; of
            files, for records that do not have the features.
        tf.errors.DataLossError: When read, for a wrong byte in files.

    Example:
        >>> rows = md.from_rows({"tokens": [["to", "be"], [], ["or"]], "label": [0, 1, 2]})
        >>> _ = md.write_tfrecord(rows, "three_rows", shards=1)
        >>> block = md.read_tfrecord("three_rows").get_single_element()
        >>> block["tokens"].to_list(), block["label"].numpy().tolist()
        ([[b'to', b'be'], [], [b'or']], [0, 1, 2])
        >>> labels = md.read_tfrecord(
        ...     "three_rows/rows-00000-of-00001.tfrecord",
        ...     features={"label": tf.TensorSpec([None], tf.int64)},
        ... )
        >>> labels.get_single_element()["label"].numpy().tolist()
        [0, 1, 2]

    Source: `tf.data.TFRecordDataset` and `tf.io.parse_example`. TFRecord's own checksums find wrong
    bytes, but name no file, and a file that ends early looks whole to them.
    """
    who = "read_tfrecord"
    _check.integer(who, "block_size", block_size)
    _check.integer(who, "cycle_length", cycle_length)
    if isinstance(source, str | os.PathLike) and tf.io.gfile.isdir(os.fspath(source)):
        if compression_type is not None:
            must = "compression_type must be None for a directory"
            _check.refuse(who, must, compression_type, "Its manifest tells all.")
        manifest = read_manifest(source)
        spec = _features_of_manifest(who, manifest, features)
        files = whole_files(who, manifest) if skip is None else skip.readable(who, manifest)
        runs = read_verified(who, files, manifest.page_bytes, cycle_length)
        return map_blocks(runs.rebatch(block_size), lambda some: decode(some, spec))
    if skip is not None:
        must = "skip must be None for files without a manifest"
        _check.refuse(who, must, skip, "Nothing tells which records they should have.")
    if compression_type is not None:
        _check.one_of(who, "compression_type", compression_type, ("GZIP", "ZLIB"))
    paths = paths_of_files(who, "source", source)
    spec = check_first_records(who, paths, compression_type, features)
    return read_unverified(paths, compression_type, spec, block_size, cycle_length)


def _features_of_manifest(who: str, manifest: Manifest, features: Any) -> Spec:
    """Return the specs of the features to read; refuse those that were not written."""
    written = manifest.element_spec
    if features is None:
        return written
    _check.names(who, "features", list(features) if isinstance(features, Mapping) else features)
    found = {name: _check.feature(who, written, name) for name in features}
    if isinstance(features, Mapping):
        for name, wanted in features.items():
            if not _same_type(wanted, found[name]):
                must = f"feature {name!r} must be {found[name]}, as it was written"
                _check.refuse(who, must, wanted, "Name it only, or convert it later.", TypeError)
    return found


def _same_type(first: Any, second: Any) -> bool:
    ranks = [getattr(spec, "ragged_rank", 0) for spec in (first, second)]
    return (
        ranks[0] == ranks[1]
        and first.dtype == second.dtype
        and first.shape.is_compatible_with(second.shape)
    )
