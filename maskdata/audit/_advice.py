"""What is wrong with a call -> one line on what mends it."""

from maskdata.audit._intercept import Target

_KEEP = "Wrap it in maskdata.layers.KeepMask: each of its steps depends on the same step only."
_ATTACH = "Put maskdata.layers.AttachMask in front of it, after the embedding."
_CONVOLUTION = "Use maskdata.layers.MaskedConv1D."
_ZERO_FIRST = "Set padded steps to 0 in front of it, or use maskdata.layers.MaskedConv1D."
_POOL = "Use maskdata.layers.Masked{}."
_ONE_VECTOR = (
    "Make one vector of a row with maskdata.layers.MaskedGlobalAveragePooling1D, "
    "MaskedGlobalMaxPooling1D, or a recurrent layer with return_sequences=False."
)
_AXIS = "Work over the features of each step, axis=-1; over time use maskdata.layers.{}."
_ATTENTION = "Use maskdata.layers.MaskedMultiHeadAttention."
_SOFTMAX = "Use maskdata.layers.MaskedSoftmax, over time (axis=1) or over features (axis=-1)."
_REVERSED = (
    "Use keras.layers.Bidirectional: a reversed row begins with its padding, and the mask is not "
    "reversed with it."
)
_NEW_STEPS = "Attach the mask of the new steps with maskdata.layers.AttachMask."
_SHIFTS = "Pack the rows first, or attend to both parts: padding of the first part stands between."

# Calls that read padding although they have the right mask: class or function -> advice.
_READERS = {
    "Conv1D": _CONVOLUTION,
    "SeparableConv1D": _ZERO_FIRST,
    "DepthwiseConv1D": _ZERO_FIRST,
    "Conv1DTranspose": _ZERO_FIRST,
    "GlobalMaxPooling1D": _POOL.format("GlobalMaxPooling1D"),
    "GlobalAveragePooling1D": _POOL.format("GlobalAveragePooling1D"),
    "MaxPooling1D": _POOL.format("MaxPooling1D"),
    "AveragePooling1D": _POOL.format("AveragePooling1D"),
    "AdaptiveAveragePooling1D": _ONE_VECTOR,
    "AdaptiveMaxPooling1D": _ONE_VECTOR,
    "MultiHeadAttention": _ATTENTION,
    "GroupedQueryAttention": _ATTENTION,
    "Attention": _ATTENTION,
    "Softmax": _SOFTMAX,
    "softmax": _SOFTMAX,
    "log_softmax": _SOFTMAX,
    "GroupNormalization": "Use maskdata.layers.MaskedGroupNormalization.",
    "LayerNormalization": _AXIS.format("MaskedGroupNormalization"),
    "UnitNormalization": _AXIS.format("MaskedGroupNormalization"),
    "BatchNormalization": _ATTACH,
    "LSTM": "Take go_backwards and zero_output_for_mask off, or wrap it in keras.layers.Bidirectional.",
    "GRU": "Take go_backwards and zero_output_for_mask off, or wrap it in keras.layers.Bidirectional.",
    "SimpleRNN": "Take go_backwards and zero_output_for_mask off, or use keras.layers.Bidirectional.",
    "flip": _REVERSED,
    "Flip": _REVERSED,
    "[...]": _ONE_VECTOR,
    "GetItem": _ONE_VECTOR,
    "Flatten": _ONE_VECTOR,
    "Reshape": _ONE_VECTOR,
    "Permute": _ONE_VECTOR,
    "Dense": _ONE_VECTOR,
    "Concatenate": _SHIFTS,
    "concatenate": _SHIFTS,
    "ZeroPadding1D": "Leave it to padding='same' of maskdata.layers.MaskedConv1D.",
    "CategoryEncoding": "Encode each step (output_mode='one_hot'), then pool with "
    "maskdata.layers.MaskedGlobalMaxPooling1D.",
    "RepeatVector": "Use maskdata.layers.RepeatVector.",
    "Dropout": "Use maskdata.layers.MaskedDropout.",
    **dict.fromkeys(("mean", "Mean"), _POOL.format("GlobalAveragePooling1D")),
    **dict.fromkeys(("max", "Max", "amax"), _POOL.format("GlobalMaxPooling1D")),
    **dict.fromkeys(
        ("sum", "Sum", "einsum", "Einsum", "EinsumDense", "Dot", "matmul", "@", "Matmul"),
        "Set padded steps to 0 first: keras.ops.where(mask[..., None], h, 0).",
    ),
    "ActivityRegularization": "Regularize weights instead, or divide by the number of valid steps.",
}

# Layers that lose the mask of their input.
_LOSERS = {
    "MultiHeadAttention": _ATTENTION,
    "Conv1D": _CONVOLUTION,
    "MaxPooling1D": _POOL.format("MaxPooling1D"),
    "AveragePooling1D": _POOL.format("AveragePooling1D"),
    "Embedding": "Put maskdata.layers.AttachMask after the embedding, not in front of it.",
    "Flatten": _ONE_VECTOR,
    "Reshape": "Attach the mask again with maskdata.layers.AttachMask.",
    "Permute": "Permute back, and attach the mask again with maskdata.layers.AttachMask.",
    "DropMask": "Move maskdata.layers.DropMask behind the last layer that needs the mask.",
    "Softmax": _SOFTMAX,
    "RepeatVector": "Use maskdata.layers.RepeatVector.",
    "Dropout": "Use maskdata.layers.MaskedDropout.",
    **dict.fromkeys(("UpSampling1D", "Cropping1D", "ZeroPadding1D"), _NEW_STEPS),
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
        "Wrap it in maskdata.layers.KeepMask, or give each of its inputs a mask.",
    ),
    **dict.fromkeys(
        ("SeparableConv1D", "DepthwiseConv1D", "Conv1DTranspose"),
        "Use maskdata.layers.MaskedConv1D, or attach the mask again with AttachMask.",
    ),
}
_LOSING_OPERATIONS = {
    **dict.fromkeys(("split", "Split"), "Use maskdata.layers.TemporalSplit."),
    **dict.fromkeys(("[...]", "GetItem", "pad", "Pad"), _NEW_STEPS),
}
_OPERATOR = (
    "Use a layer that keeps the mask, such as keras.layers.Add, or wrap the function in "
    "maskdata.layers.KeepMask."
)
_CUSTOM = (
    "Set self.supports_masking = True in it if each step depends on the same step only, or wrap "
    "it in maskdata.layers.KeepMask."
)


def for_reader(target: Target) -> str:
    """Return what mends a call that reads padding, although it could know the mask."""
    if not target.is_layer:
        default = "Do it with a layer that uses the mask, or set padded steps to a neutral value."
    else:
        default = "Make it use the argument `mask` of its call, or zero the padding in front of it."
    return _find(_READERS, target, default)


def for_loser(target: Target) -> str:
    """Return what mends a call that loses the mask."""
    if not target.is_layer:
        return _find(_LOSING_OPERATIONS, target, _OPERATOR)
    is_custom = type(target.op).__module__.split(".")[0] != "keras"
    return _find(_LOSERS, target, _CUSTOM if is_custom else _KEEP)


def for_maskless(target: Target) -> str:
    """Return what mends a call that no mask ever reached."""
    return _find({"Dense": _ONE_VECTOR}, target, _ATTACH)


def _find(advice: dict[str, str], target: Target, default: str) -> str:
    names = [kind.__name__ for kind in type(target.op).__mro__] if not target.is_written else []
    return next((advice[name] for name in (*names, target.name) if name in advice), default)


def for_code() -> str:
    """Return what mends code between two calls."""
    return (
        "The audit sees layers, keras.ops and operators, not other functions: make this a layer "
        "that uses the mask."
    )


def for_hider() -> str:
    """Return what mends a mask that is made from values."""
    return "Make no mask from values (mask_zero=False); use maskdata.layers.AttachMask after it."


def for_outputs() -> str:
    """Return what mends a loss whose predictions carry no mask."""
    return "Attach the mask to the outputs with maskdata.layers.AttachMask."
