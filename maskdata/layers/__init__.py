"""Tensors and masks -> tensors that carry the right mask, or none."""

from maskdata.layers.attach_mask import AttachMask
from maskdata.layers.drop_mask import DropMask
from maskdata.layers.keep_mask import KeepMask
from maskdata.layers.masked_conv1d import MaskedConv1D
from maskdata.layers.masked_dropout import MaskedDropout
from maskdata.layers.masked_global_pooling import (
    MaskedGlobalAveragePooling1D,
    MaskedGlobalMaxPooling1D,
)
from maskdata.layers.masked_group_normalization import MaskedGroupNormalization
from maskdata.layers.masked_multi_head_attention import MaskedMultiHeadAttention
from maskdata.layers.masked_pooling import MaskedAveragePooling1D, MaskedMaxPooling1D
from maskdata.layers.masked_softmax import MaskedSoftmax
from maskdata.layers.position_embedding import PositionEmbedding
from maskdata.layers.repeat_vector import RepeatVector
from maskdata.layers.segment_attention_mask import SegmentAttentionMask
from maskdata.layers.segment_pooling import SegmentPooling
from maskdata.layers.segment_rnn import SegmentRNN
from maskdata.layers.temporal_split import TemporalSplit

__all__ = [
    "AttachMask",
    "DropMask",
    "KeepMask",
    "MaskedAveragePooling1D",
    "MaskedConv1D",
    "MaskedDropout",
    "MaskedGlobalAveragePooling1D",
    "MaskedGlobalMaxPooling1D",
    "MaskedGroupNormalization",
    "MaskedMaxPooling1D",
    "MaskedMultiHeadAttention",
    "MaskedSoftmax",
    "PositionEmbedding",
    "RepeatVector",
    "SegmentAttentionMask",
    "SegmentPooling",
    "SegmentRNN",
    "TemporalSplit",
]
