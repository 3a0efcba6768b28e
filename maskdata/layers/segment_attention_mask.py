"""Segment ids of packed rows -> which steps may attend to which."""

from typing import Any

import keras
from keras import ops

from maskdata._masks import Shape, Tensor


@keras.saving.register_keras_serializable(package="maskdata")
class SegmentAttentionMask(keras.layers.Layer):
    """Let each step attend to its own segment only.

    Stage: segment ids -> **an attention mask**.

    Rows that are packed into one must not see each other. Pass the output as `attention_mask` to
    `keras.layers.MultiHeadAttention` or `MaskedMultiHeadAttention`; both also take the padding, whose
    segment id is 0, for something that nobody sees.

    Masking:
        makes an attention mask, which is a tensor, not a Keras mask; it reads and makes none.

    Args:
        causal: Whether a step must not see later steps of its segment.
        **kwargs: The arguments of every Keras layer: `name`, `dtype`, `trainable`.

    Shapes:
        in: segment ids [B, L]; or for attention to another sequence that is packed alike,
            [segment ids of the queries [B, L], segment ids of the memory [B, M]]
        out: bool [B, L, L], or [B, L, M]: True where a query (axis 1) may see a step (axis 2)

    Raises:
        ValueError: When called, for ids of another rank, or for `causal=True` with two tensors,
            whose steps have no common order.

    Example:
        >>> segment_ids = tf.constant([[1, 1, 2, 0]])
        >>> md.layers.SegmentAttentionMask(causal=True)(segment_ids)[0].numpy().astype(int).tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]

    Source: Krell et al. 2021, Efficient sequence packing without cross-contamination,
        https://arxiv.org/abs/2107.02027
    """

    def __init__(self, *, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.causal = causal

    def call(self, segment_ids: Any) -> Tensor:
        """Return which query may see which step."""
        is_pair = isinstance(segment_ids, list | tuple)
        queries, memory = segment_ids if is_pair else (segment_ids, segment_ids)
        if len(queries.shape) != 2 or len(memory.shape) != 2:
            shapes = [tuple(ids.shape) for ids in (queries, memory)]
            raise ValueError(
                f"SegmentAttentionMask: segment ids must be [B, L], got {shapes}. "
                "Pass the feature that Pack makes, tokens_segment_ids."
            )
        if self.causal and is_pair:
            raise ValueError(
                "SegmentAttentionMask: causal must be False for two sequences, got True. "
                "Their steps have no common order."
            )
        same = queries[:, :, None] == memory[:, None, :]
        allowed = ops.logical_and(same, queries[:, :, None] != 0)
        if self.causal:
            slot = ops.arange(ops.shape(queries)[1], dtype="int32")
            allowed = ops.logical_and(allowed, slot[None, None, :] <= slot[None, :, None])
        return allowed

    def compute_output_spec(self, segment_ids: Any) -> keras.KerasTensor:
        """Return a bool tensor [B, L, M]."""
        pair = segment_ids if isinstance(segment_ids, list | tuple) else [segment_ids] * 2
        return keras.KerasTensor((*pair[0].shape[:2], pair[1].shape[1]), dtype="bool")

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return [B, L, M]."""
        is_pair = bool(input_shape) and isinstance(input_shape[0], list | tuple)
        queries, memory = input_shape if is_pair else (input_shape, input_shape)
        return (*queries, memory[1])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "causal": self.causal}
