"""What is wrong with a call in packed rows -> one line on what mends it."""

from maskdata.audit._intercept import Target

_ATTENTION = (
    "Give it as attention_mask what maskdata.layers.SegmentAttentionMask makes of the segment ids; "
    "for cross-attention, of those of the queries and those of the memory."
)
_NO_ARGUMENT = (
    "Use keras.layers.MultiHeadAttention with what maskdata.layers.SegmentAttentionMask makes of "
    "the segment ids as attention_mask."
)
_SCORES = (
    "Set scores of steps in other segments to a large negative number first; "
    "maskdata.layers.SegmentAttentionMask tells which they are."
)
_RECURRENT = "Use maskdata.layers.SegmentRNN with its cell, which begins anew in each segment."
_POOLING = "Use maskdata.layers.SegmentPooling, which makes one vector for each segment."
_NEIGHBOURS = (
    "It looks over the border of two segments: batch this model with "
    "maskdata.BucketBySequenceLength, or work on each step alone."
)
_OVER_TIME = (
    "It works over all steps of a packed row: work over the features of each step, axis=-1, or "
    "batch this model with maskdata.BucketBySequenceLength."
)
_DEFAULT = (
    "Make it look at the segment ids, or batch this model with maskdata.BucketBySequenceLength."
)
_POSITIONS = (
    "Embed the positions that Pack makes, '<name>_positions', with keras.layers.Embedding: they "
    "begin at 0 in each segment."
)

# The first name that fits counts: class, its bases, or function.
_MIXERS = {
    **dict.fromkeys(("MultiHeadAttention", "GroupedQueryAttention"), _ATTENTION),
    **dict.fromkeys(("Attention", "AdditiveAttention"), _NO_ARGUMENT),
    **dict.fromkeys(("softmax", "Softmax", "log_softmax"), _SCORES),
    **dict.fromkeys(("RNN", "Bidirectional", "SegmentRNN", "cumsum", "Cumsum"), _RECURRENT),
    **dict.fromkeys(
        (
            *("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
            *("MaskedGlobalAveragePooling1D", "MaskedGlobalMaxPooling1D"),
            *("mean", "Mean", "max", "Max", "amax", "min", "Min", "amin", "sum", "Sum"),
            *("Flatten", "Reshape", "Permute", "Dense", "[...]", "GetItem"),
        ),
        _POOLING,
    ),
    **dict.fromkeys(
        (
            *("Conv1D", "SeparableConv1D", "DepthwiseConv1D", "Conv1DTranspose", "MaskedConv1D"),
            *("MaxPooling1D", "AveragePooling1D", "MaskedMaxPooling1D", "MaskedAveragePooling1D"),
            *("roll", "Roll", "concatenate", "Concatenate", "pad", "Pad", "ZeroPadding1D"),
        ),
        _NEIGHBOURS,
    ),
    **dict.fromkeys(
        (
            *("GroupNormalization", "MaskedGroupNormalization", "LayerNormalization"),
            *("UnitNormalization", "MaskedSoftmax"),
        ),
        _OVER_TIME,
    ),
}


def for_mixer(target: Target) -> str:
    """Return what mends a call that mixes segments."""
    names = [kind.__name__ for kind in type(target.op).__mro__] if not target.is_written else []
    return next((_MIXERS[name] for name in (*names, target.name) if name in _MIXERS), _DEFAULT)


def for_place(_: Target) -> str:
    """Return what mends a call that depends on where in the packed row a segment stands."""
    return _POSITIONS
