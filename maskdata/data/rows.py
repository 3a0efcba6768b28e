"""Blocks of rows -> blocks of the same rows, changed on purpose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import tensorflow as tf

from maskdata.data import _check
from maskdata.data._blocks import map_blocks
from maskdata.data._names import cut_name
from maskdata.data._types import Element

CutSide = Literal["right", "left"]


@final
@dataclass(frozen=True)
class Truncate:
    """Cut rows that are too long, and say by how much.

    Stage: blocks or ragged batches -> **the same, no row longer than asked**.

    Each feature `name` in `lengths` loses the steps past its length, and an int64 feature
    `name_cut` joins it: the number of steps cut from each row. `describe` adds these up. Other
    features pass through untouched: name all features whose steps belong together.

    Args:
        lengths: The most steps a row may keep, for each feature to cut.
        side: Where steps are cut: `"right"` keeps the first steps, `"left"` the last.

    Shapes:
        in: `name` [B, (T), ...] ragged
        out: `name` [B, (T), ...] ragged, T at most `lengths[name]`; `name_cut` [B] int64

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, for a feature that
            is missing or not ragged, or if `name_cut` exists.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3, 4], [5]]})
        >>> cut = rows.apply(md.Truncate({"tokens": 3}, side="left")).get_single_element()
        >>> cut["tokens"].to_list(), cut["tokens_cut"].numpy().tolist()
        ([[2, 3, 4], [5]], [1, 0])
    """

    lengths: Mapping[str, int]
    side: CutSide = "right"

    def __post_init__(self) -> None:
        _check.lengths("Truncate", self.lengths)
        _check.one_of("Truncate", "side", self.side, ("right", "left"))

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with the long rows cut."""
        spec = _check.blocks("Truncate", dataset)
        for name in self.lengths:
            _check.ragged_feature("Truncate", spec, name)
            _check.new_features("Truncate", spec, [cut_name(name)])

        def cut(element: Element) -> Element:
            changed = dict(element)
            for name, length in self.lengths.items():
                changed[name], changed[cut_name(name)] = truncate_rows(
                    element[name], length, self.side
                )
            return changed

        return map_blocks(dataset, cut)


@final
@dataclass(frozen=True)
class NextStep:
    """Make the target of each step: the step after it, in the same row.

    Stage: blocks or ragged batches -> **the same, with targets for a language model**.

    A row of `n` steps becomes one of `n - 1`: `feature` loses its last step, for which there is no
    target, and `into` gets the steps from the second on. Rows of one step or none keep no step. Do it
    before rows are packed or split: then no target lies in another row. Other features pass through
    untouched.

    Args:
        feature: The ragged feature whose steps are to be foretold.
        into: The name of the targets.

    Shapes:
        in: `feature` [N, (T), ...] ragged
        out: `feature` [N, (T), ...] and `into` [N, (T), ...] ragged, one step shorter

    Raises:
        TypeError, ValueError: When built, for a bad argument; when applied, if `feature` is missing
            or not ragged, or if `into` exists.

    Example:
        >>> rows = md.from_rows({"tokens": [[1, 2, 3], [4]]})
        >>> block = rows.apply(md.NextStep("tokens", into="targets")).get_single_element()
        >>> block["tokens"].to_list(), block["targets"].to_list()
        ([[1, 2], []], [[2, 3], []])
    """

    feature: str
    into: str

    def __post_init__(self) -> None:
        _check.name("NextStep", "feature", self.feature)
        _check.name("NextStep", "into", self.into)

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset with targets."""
        spec = _check.blocks("NextStep", dataset)
        _check.ragged_feature("NextStep", spec, self.feature)
        _check.new_features("NextStep", spec, [self.into])

        def shift(element: Element) -> Element:
            steps = element[self.feature]
            return element | {self.feature: steps[:, :-1], self.into: steps[:, 1:]}

        return map_blocks(dataset, shift)


def truncate_rows(
    ragged: tf.RaggedTensor, length: int, side: CutSide = "right"
) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Return `ragged` with rows of at most `length` steps, and how many steps each row lost.

    >>> kept, lost = md.data.rows.truncate_rows(tf.ragged.constant([[1, 2, 3], []]), 2)
    >>> kept.to_list(), lost.numpy().tolist()
    ([[1, 2], []], [1, 0])
    """
    kept = ragged[:, :length] if side == "right" else ragged[:, -length:]
    return kept, tf.cast(ragged.row_lengths() - kept.row_lengths(), tf.int64)
