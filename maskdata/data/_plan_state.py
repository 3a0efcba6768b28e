"""A position in a plan <-> a dict to save, which only the same plan takes back."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from maskdata.data import _check
from maskdata.data._column_hash import hash_columns
from maskdata.data._columns import Columns

VERSION = 1
REMEDIES = {
    "data": "Build the plan of the rows, and with the vocabulary, with which it was saved.",
    "order": "Build the plan with the settings and the version of TensorFlow with which it was saved.",
}

State = dict[str, int | str]


def identify(columns: Columns, seed: int, first_epoch: tf.RaggedTensor) -> dict[str, str]:
    """Return hashes that tell a plan from others: of its rows, and of the order it gives them.

    The order of one epoch stands for all that has an influence on it: row lengths, buckets, batch
    sizes, this code and TensorFlow's generator.
    """
    order = hashlib.sha256(f"seed {seed}".encode())
    for part in (first_epoch.row_lengths(), first_epoch.values):
        order.update(np.asarray(part, np.int64).data)
    return {"data": hash_columns(columns), "order": order.hexdigest()}


def make_state(epoch: int, step: int, identity: dict[str, str]) -> State:
    """Return the dict to save."""
    return {"version": VERSION, "epoch": int(epoch), "step": int(step), **identity}


def check_state(who: str, state: Any, identity: dict[str, str]) -> None:
    """Refuse what is no state, and the state of another plan."""
    if not isinstance(state, Mapping) or set(state) != set(make_state(0, 0, identity)):
        remedy = "Pass what was saved, or json.loads of it."
        _check.refuse(who, "state must be what `state` returned", state, remedy, TypeError)
    if state["version"] != VERSION:
        remedy = "Resume with the version of maskdata that saved it."
        _check.refuse(who, f"state must be of version {VERSION}", state["version"], remedy)
    for name, remedy in REMEDIES.items():
        if state[name] != identity[name]:
            must = f"state must be of a plan with the same {name}, {identity[name]!r}"
            _check.refuse(who, must, state[name], remedy)
