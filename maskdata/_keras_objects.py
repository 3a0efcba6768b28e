"""A loss or metric -> what it is, what its labels are, its arguments, its config, its text."""

import inspect
from typing import Any

import keras


def _named(*names: str) -> tuple[Any, ...]:
    """Return the losses and metrics of these names."""
    modules = keras.losses, keras.metrics
    return tuple(vars(module)[name] for module in modules for name in names if name in vars(module))


_KERAS = (*vars(keras.losses).values(), *vars(keras.metrics).values())
_OF_CLASS_NUMBERS = _named(
    "SparseCategoricalCrossentropy",
    "sparse_categorical_crossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "categorical_generalized_cross_entropy",
    "SparseCategoricalAccuracy",
    "sparse_categorical_accuracy",
    "SparseTopKCategoricalAccuracy",
    "sparse_top_k_categorical_accuracy",
    "IoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
    "MeanMetricWrapper",
)
_OF_NUMBERS = _named(
    "MeanSquaredError",
    "mean_squared_error",
    "RootMeanSquaredError",
    "MeanAbsoluteError",
    "mean_absolute_error",
    "MeanAbsolutePercentageError",
    "mean_absolute_percentage_error",
    "MeanSquaredLogarithmicError",
    "mean_squared_logarithmic_error",
    "Huber",
    "huber",
    "LogCosh",
    "LogCoshError",
    "log_cosh",
    "CosineSimilarity",
    "cosine_similarity",
    "ConcordanceCorrelation",
    "concordance_correlation",
    "pearson_correlation",
    "R2Score",
    "Poisson",
    "poisson",
    "BinaryAccuracy",
    "binary_accuracy",
    "BinaryCrossentropy",
    "binary_crossentropy",
    "BinaryFocalCrossentropy",
    "binary_focal_crossentropy",
    "BinaryIoU",
    "Hinge",
    "hinge",
    "SquaredHinge",
    "squared_hinge",
)


def kind(thing: Any) -> Any:
    """Return the class of a `Loss` or `Metric`, or the function itself."""
    return type(thing) if isinstance(thing, keras.losses.Loss | keras.Metric) else thing


def is_elementwise(thing: Any) -> bool:
    """Tell whether its labels must have the shape of the predictions."""
    return kind(thing) in _KERAS and kind(thing) not in _OF_CLASS_NUMBERS


def has_classes(thing: Any) -> bool:
    """Tell whether labels of several numbers a step may be one-hot, and not just numbers."""
    return kind(thing) not in _OF_NUMBERS


def arguments(thing: Any) -> dict[str, Any]:
    """Return the arguments that a loss or metric was made with.

    Keras 3.15.1 leaves some out of `get_config` (Huber's `delta`, several `axis`;
    https://github.com/keras-team/keras/pull/23286), but not out of this private attribute.
    """
    if kind(thing) is thing:
        return {}
    return {**thing.get_config(), **getattr(thing, "_fn_kwargs", {})}


def serialize(thing: Any) -> Any:
    """Return Keras' own serialised form, with the arguments that it leaves out; names stay."""
    if isinstance(thing, str):
        return thing
    serialized = keras.saving.serialize_keras_object(thing)
    if kind(thing) is not thing and kind(thing) in _KERAS:
        serialized["config"] = arguments(thing) | serialized["config"]
    return serialized


def as_call(thing: Any) -> str:
    """Write a loss or metric as in source code, without what has no effect here."""
    if kind(thing) is thing or "__repr__" in vars(type(thing)):
        return getattr(thing, "__name__", repr(thing))
    parameters = inspect.signature(type(thing)).parameters
    shown = [
        f"{name}={_as_value(value)}"
        for name, value in arguments(thing).items()
        if name in parameters
        and name not in ("name", "reduction", "dtype")
        and value != parameters[name].default
    ]
    return f"{type(thing).__name__}({', '.join(shown)})"


def as_wrapper(wrapper: str, wrapped: Any, /, **options: Any) -> str:
    """Write a wrapper around a loss or metric, with the options that are not None."""
    shown = [repr(wrapped) if isinstance(wrapped, str) else as_call(wrapped)]
    shown += [f"{option}={value!r}" for option, value in options.items() if value is not None]
    return f"{wrapper}({', '.join(shown)})"


def _as_value(value: Any) -> str:
    is_function = isinstance(value, dict) and value.get("class_name") == "function"
    # A registered function is called "package>name".
    return value["config"].split(">")[-1] if is_function else repr(value)


def set_direction(metric: keras.Metric, direction: str | None) -> None:
    """Tell callbacks with `mode="auto"` what is better; they read this private attribute."""
    if direction is not None:
        metric._direction = direction
