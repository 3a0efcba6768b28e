"""Files of Examples of which nothing is known -> blocks of rows."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._sources import specs_of_blocks
from maskdata.data._types import Spec
from maskdata.data.tfrecord._example_codec import check_codec, decode, keys_and_dtypes

DTYPES = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
RECORDS_TO_LOOK_AT = 100
RECORDS_IN_TURN = 64


def check_first_records(
    who: str, paths: Sequence[str], compression_type: str | None, features: Any
) -> Spec:
    """Return the specs of features; refuse those that the first records do not have like that."""
    spec = specs_of_blocks(who, features)
    for name, found in spec.items():
        if found.dtype not in DTYPES.values():
            must = f"feature {name!r} must be int64, float32 or string, as Examples are"
            _check.refuse(who, must, found.dtype, "Convert it later with tf.cast.", TypeError)
    check_codec(who, spec)
    path, found = _first_features(who, paths, compression_type)
    for key, dtype in keys_and_dtypes(spec).items():
        if found and key not in found:
            close = difflib.get_close_matches(key, found, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "Name one of these."
            some = f"the first {RECORDS_TO_LOOK_AT} records of {path} have {sorted(found)}"
            raise ValueError(f"{who}: no feature {key!r}; {some}. {hint}")
        if found and found[key] != dtype:
            must = f"feature {key!r} must be {found[key].name}, as in {path}"
            _check.refuse(who, must, dtype.name, "Change its spec.", TypeError)
    return spec


def _first_features(
    who: str, paths: Sequence[str], compression_type: str | None
) -> tuple[str, dict[str, tf.DType]]:
    """Return the first file that has records, and what its first records hold."""
    for path in paths:
        first = tf.data.TFRecordDataset(path, compression_type).take(RECORDS_TO_LOOK_AT)
        try:
            records = list(first.as_numpy_iterator())
            examples = [tf.train.Example.FromString(record) for record in records]
        except (DecodeError, tf.errors.DataLossError) as error:
            must = f"{path} must hold records that are Examples"
            _check.refuse(who, must, str(error), "Check what wrote the file.")
        if examples:
            features = [entry for e in examples for entry in e.features.feature.items()]
            kinds = {key: feature.WhichOneof("kind") for key, feature in features}
            return path, {key: DTYPES[kind] for key, kind in kinds.items() if kind}
    return paths[0], {}


def read_unverified(
    paths: Sequence[str],
    compression_type: str | None,
    spec: Spec,
    block_size: int,
    cycle_length: int,
) -> tf.data.Dataset:
    """Return blocks of the records of files; what cannot be parsed is called by file and number."""
    names = tf.constant(paths, tf.string)

    def read_file(file: tf.Tensor, path: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, compression_type)
        numbered = (tf.data.Dataset.from_tensors(file).repeat(), tf.data.Dataset.range(2**62))
        return tf.data.Dataset.zip((*numbered, records)).batch(RECORDS_IN_TURN)

    def decode_block(file: tf.Tensor, number: tf.Tensor, records: tf.Tensor) -> Any:
        called = tf.strings.join([tf.gather(names, file), " record ", tf.strings.as_string(number)])
        return decode(records, spec, names=called)

    files = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), names))
    records = files.interleave(
        tf.autograph.experimental.do_not_convert(read_file),
        cycle_length=cycle_length,
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return map_blocks(records.rebatch(block_size), decode_block)
