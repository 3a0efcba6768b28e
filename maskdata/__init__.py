"""maskdata: tf.data transforms for Keras models on sequences of different lengths.

Padding and batching never change your result. Names stand in the order in which data flow.
"""

# Reading: text and rows in memory -> blocks of rows
from maskdata.data.read import read_text, from_rows
from maskdata.data.padded import FromPadded
from maskdata.data.arrow.jsonl import read_jsonl
from maskdata.data.arrow.parquet import read_parquet
from maskdata.data.arrow.table import from_arrow
from maskdata.data.tfrecord.read import read_tfrecord
from maskdata.data.tfrecord.write import write_tfrecord
from maskdata.data.tfrecord.manifest import read_manifest
from maskdata.data.tfrecord.check import check_tfrecord

# Rows -> ids
from maskdata.data.tokenize import Tokenize
from maskdata.data.vocabulary import Vocabulary
from maskdata.data.approximate_vocabulary import ApproximateVocabulary
from maskdata.data.lookup import Lookup
from maskdata.data.rows import Truncate, NextStep
from maskdata.data.long_rows import DropLong, SplitLong
from maskdata.data.split_by_key import SplitByKey
from maskdata.data.shuffle import Shuffle

# Blocks -> batches
from maskdata.data.bucket_plan import plan_buckets
from maskdata.data.batch import RaggedBatch, PaddedBatch
from maskdata.data.bucket import BucketBySequenceLength
from maskdata.data.batch_plan import BatchPlan
from maskdata.data.pack import Pack
from maskdata.data.unpack import unpack
from maskdata.data.count import CountBatches
from maskdata.data.dense import ToDense
from maskdata.data.fill import FillRows

# Batches -> the model
from maskdata.data.keras_batch import ToKeras
from maskdata.data.device import PrefetchToDevice

# Other machines, and all of it as one
from maskdata.data.distribute import Distribute
from maskdata.data.chain import Chain

# The Keras half, and what tells about data
from maskdata import layers, losses, metrics
from maskdata.compile_args import compile_args
from maskdata._resumable import Resumable
from maskdata.describe import describe
from maskdata.audit import audit
from maskdata import testing

__all__ = [
    "read_text",
    "from_rows",
    "FromPadded",
    "read_jsonl",
    "read_parquet",
    "from_arrow",
    "read_tfrecord",
    "write_tfrecord",
    "read_manifest",
    "check_tfrecord",
    "Tokenize",
    "Vocabulary",
    "ApproximateVocabulary",
    "Lookup",
    "Truncate",
    "NextStep",
    "DropLong",
    "SplitLong",
    "SplitByKey",
    "Shuffle",
    "plan_buckets",
    "RaggedBatch",
    "PaddedBatch",
    "BucketBySequenceLength",
    "BatchPlan",
    "Pack",
    "unpack",
    "CountBatches",
    "ToDense",
    "FillRows",
    "ToKeras",
    "PrefetchToDevice",
    "Distribute",
    "Chain",
    "layers",
    "losses",
    "metrics",
    "compile_args",
    "Resumable",
    "describe",
    "audit",
    "testing",
]
