"""Hugging Face: `Dataset.to_tf_dataset` with a collator that pads."""

from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

from tests.speed.contender import Contender
from tests.speed.rows import Rows
from tests.speed.tensorflow_epoch import TensorFlowEpoch


def to_tf_dataset(rows: Rows, collate: Callable[..., Any], num_workers: int = 0) -> TensorFlowEpoch:
    """huggingface.co/docs/datasets/use_with_tensorflow, "Using to_tf_dataset()"."""
    column = pa.LargeListArray.from_arrays(pa.array(rows.row_splits), pa.array(rows.token_ids))
    batches = datasets.Dataset(pa.table({"input_ids": column})).to_tf_dataset(
        columns=["input_ids", "attention_mask"],
        batch_size=rows.batch_size,
        shuffle=True,
        collate_fn=collate,
        num_workers=num_workers,
    )
    return TensorFlowEpoch(batches, "input_ids", "attention_mask")


def library_collator() -> DataCollatorWithPadding:
    """huggingface.co/docs/transformers/main_classes/data_collator."""
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0}, unk_token="[PAD]"))
    return DataCollatorWithPadding(
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]"), return_tensors="np"
    )


def collate_by_hand(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    row_lengths = np.array([len(row["input_ids"]) for row in rows])
    mask = np.arange(row_lengths.max()) < row_lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate([row["input_ids"] for row in rows])
    return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


DISTRIBUTIONS = ["datasets", "transformers"]
CONTENDERS = [
    Contender(
        "Hugging Face datasets, to_tf_dataset",
        "shuffles all rows; no buckets",
        {
            "DataCollatorWithPadding": lambda rows: to_tf_dataset(rows, library_collator()),
            "collator by hand": lambda rows: to_tf_dataset(rows, collate_by_hand),
            "collator by hand, 2 workers": lambda rows: to_tf_dataset(
                rows, collate_by_hand, num_workers=2
            ),
        },
    )
]
