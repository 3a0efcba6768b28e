"""Queries, memory with a mask -> what each query finds among the valid steps."""

import functools
from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor
from maskdata._steps import where
from maskdata.layers._noise import drop
from maskdata.layers._step_masks import positions, step_mask
from maskdata.layers.attach_mask import AttachMask
from maskdata.layers.masked_softmax import softmax


@keras.saving.register_keras_serializable(package="maskdata")
class MaskedMultiHeadAttention(keras.layers.MultiHeadAttention):
    """Attend to valid steps only, and leave all masks where they are.

    Stage: queries, memory with a mask -> **what each query finds, with the mask of the queries**.

    `keras.layers.MultiHeadAttention` takes the masks off the tensors that it is given: a residual sum
    after it has no mask, and a second layer on the same memory attends to padding; it
    ignores `query_mask=`; and if a row of the memory has no valid step, its queries get the mean of
    the padding. Here every tensor keeps its mask, each query attends to the valid steps of
    its row of the memory, and one that finds none gets only the bias of the output. Dropout of
    attention does not depend on the padding either (see `MaskedDropout`). Masked steps of the
    output are 0. Weights and arguments are those of `keras.layers.MultiHeadAttention`.

    Masking:
        uses the masks of `value` and `key`, and passes that of `query` on. Masks may have holes.
        `query` may have no mask: then every query counts, and the output has none. Call arguments
        `query_mask`, `value_mask` and `key_mask` count before the masks of the tensors.

    Args:
        num_heads: Number of heads.
        key_dim: Number of features of each head, for queries and keys.
        value_dim: Number of features of each head, for values. Defaults to `key_dim`.
        dropout: Chance of a score to be dropped in training.
        **kwargs: The other arguments of `keras.layers.MultiHeadAttention`, without
            `attention_axes` and `activity_regularizer`, which would count padding.

    Shapes:
        in: query [B, L, D], mask [B, L] or none; value and key [B, M, D], mask [B, M];
            attention_mask [B, L, M] or none, for what must not be seen beside padding
        out: [B, L, D], mask of the query; with `return_attention_scores=True` also the scores
            [B, heads, L, M]

    Raises:
        ValueError: When built, as `keras.layers.MultiHeadAttention`, and for the two arguments
            above. When called, if neither `value` nor `key` has a mask, and for a mask of another
            shape.

    Example:
        >>> h = md.layers.AttachMask()([tf.ones([1, 3, 4]), tf.constant([[1, 1, 0]])])
        >>> attention = md.layers.MaskedMultiHeadAttention(num_heads=2, key_dim=4)
        >>> _, scores = attention(h, h, use_causal_mask=True, return_attention_scores=True)
        >>> scores[0, 0].numpy().tolist()
        [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]

    Source: https://github.com/keras-team/keras/issues/20455
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, key_dim, value_dim=value_dim, dropout=dropout, **kwargs)
        axes = kwargs.get("attention_axes")
        if axes is not None and tuple(axes if isinstance(axes, list | tuple) else [axes]) != (1,):
            raise ValueError(
                f"MaskedMultiHeadAttention: attention_axes must be time, axis 1, got {axes!r}. "
                "Leave it out."
            )
        if kwargs.get("activity_regularizer") is not None:
            raise ValueError(
                "MaskedMultiHeadAttention: activity_regularizer must be None, got "
                f"{kwargs['activity_regularizer']!r}. It would count padding; regularize the "
                "layer after this one."
            )

    def __call__(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        **kwargs: Any,
    ) -> Any:
        """Attach the masks that are given to their tensors, then call the layer."""
        if key is not None:
            kwargs["key"] = _carrying(key, key_mask)
        return super().__call__(
            _carrying(query, query_mask), _carrying(value, value_mask), **kwargs
        )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        *,
        attention_mask: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Return what each query finds, and the scores if asked for."""
        memory_mask = step_mask(
            self, value, key_mask if value_mask is None else value_mask, of="value"
        )
        if key is None:
            key = value
        elif key_mask is not None:
            memory_mask = ops.logical_and(memory_mask, step_mask(self, key, key_mask, of="key"))
        if query_mask is None:
            query_mask = ops.ones(ops.shape(query)[:2], "bool")
        query_mask = step_mask(self, query, query_mask, of="query")

        # Without garbage, for 0 * inf is NaN; in new tensors, for the given ones keep their masks.
        query = where(query_mask, query, 0)
        key, value = where(memory_mask, key, 0), where(memory_mask, value, 0)

        # Places count valid steps: neither the length nor the side of the padding matters.
        query_at = positions(query_mask)[:, None, :, None]
        key_at = positions(memory_mask)[:, None, None, :]
        conditions = [query_mask[:, None, :, None], memory_mask[:, None, None, :]]
        if use_causal_mask:
            conditions.append(key_at <= query_at)
        if self._sliding_window is not None:
            conditions.append(ops.abs(key_at - query_at) < self._sliding_window)
        if attention_mask is not None:
            of_heads = len(attention_mask.shape) == 4
            attention_mask = attention_mask if of_heads else attention_mask[:, None]
            conditions.append(ops.cast(attention_mask, "bool"))
        allowed = functools.reduce(ops.logical_and, conditions)

        heads = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        scores = None
        if return_attention_scores or (training and self.dropout):
            scores = self._scores(*heads[:2], allowed)
            kept = self._drop(scores, query_at, key_at) if training and self.dropout else scores
            found = ops.einsum("bhls,bshd->blhd", kept, heads[2])
        else:
            found = ops.dot_product_attention(
                *heads,
                mask=allowed,
                scale=self._inverse_sqrt_key_dim,
                flash_attention=self._flash_attention,
            )
            # It gives the mean of everything to a query that may see nothing.
            sees = ops.transpose(ops.any(allowed, axis=-1, keepdims=True), (0, 2, 1, 3))
            found = ops.where(sees, found, 0)
        if self._use_gate:
            found = found * self._gate_dense(query)
        outputs = where(query_mask, self.output_dense(found), 0)
        return (outputs, scores) if return_attention_scores else outputs

    def _scores(self, query: Tensor, key: Tensor, allowed: Tensor) -> Tensor:
        """Return the share that each query gives to each key."""
        products = ops.einsum("blhd,bshd->bhls", query * self._inverse_sqrt_key_dim, key)
        return softmax(products, allowed, axis=-1)

    def _drop(self, scores: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        """Return the scores with noise that knows their places, but not the padding."""
        row, head = (ops.arange(size, dtype="int32") for size in ops.shape(scores)[:2])
        coordinates = row[:, None, None, None], head[:, None, None], query_at, key_at
        return drop(scores, self.dropout, self._dropout_layer.seed_generator, coordinates)


def _carrying(tensor: Tensor, mask: Tensor | None) -> Tensor:
    return tensor if mask is None else AttachMask()([tensor, mask])
