"""loss, metrics -> the keyword arguments of `Model.compile` that count valid steps only."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from maskdata.losses import TokenMean
from maskdata.metrics import TokenLoss, TokenWise

Output = str | int | None  # its name, its place in a list, or None for the only one


def compile_args(loss: Any, metrics: Any = None, weighted_metrics: Any = None) -> dict[str, Any]:
    """Return what `Model.compile` needs so that only valid steps count.

    Stage: loss, metrics -> **the keyword arguments of `Model.compile`**.

    Wraps each loss in `losses.TokenMean` and each metric in `metrics.TokenWise`, and adds
    `metrics.TokenLoss` of the same loss: the log then has `token_loss` and `val_token_loss`, or
    `<output>_token_loss` for several outputs. What is wrapped already stays as it is. Labels
    that a loss ignores (`ignore_value`, `ignore_class`) are ignored by the metrics of its output.

    As in Keras, `metrics` count a valid step once and `weighted_metrics` by its sample weight. Both
    become `weighted_metrics` of Keras, which alone learn from `sample_weight` what is padding.

    Under a strategy call it in `strategy.scope()`, like `compile`: metrics have variables.

    Args:
        loss: A loss, or for several outputs a dict from their names or a list; None for an output
            without. Anything that `losses.TokenMean` takes, or a `TokenMean`.
        metrics: A metric or a list of them, or for several outputs a dict or a list of those, as
            the loss is. Anything that `metrics.TokenWise` takes, a `TokenWise` or a `TokenLoss`.
        weighted_metrics: Likewise.

    Raises:
        ValueError: For a loss or metric that cannot count steps (see `TokenMean`, `TokenWise`), for
            outputs of metrics that are not those of the losses, and for one metric instance in
            two places, where it would count both.

    Example:
        >>> for name, value in md.compile_args("mse", metrics=["mae"]).items():
        ...     print(name, "=", value)
        loss = TokenMean('mse')
        weighted_metrics = [TokenWise('mae', weighted=False), TokenLoss(TokenMean('mse'))]
        >>> model = keras.Sequential([keras.Input((None, 1)), keras.layers.Dense(1)])
        >>> model.compile("adam", **md.compile_args(loss="mse", metrics=["mae"]))
    """
    losses = _by_output("loss", loss)
    given = {
        what: _of_outputs(what, value, loss, losses)
        for what, value in [("metrics", metrics), ("weighted_metrics", weighted_metrics)]
    }
    _check_instances([metric for of in given.values() for some in of.values() for metric in some])
    wrapped_losses, wrapped_metrics = {}, {}
    for output, of_output in losses.items():
        try:
            token_mean = _token_mean(of_output)
            wrapped_losses[output] = token_mean
            wrapped_metrics[output] = _token_wise(
                token_mean,
                given["metrics"].get(output, []),
                given["weighted_metrics"].get(output, []),
            )
        except Exception as error:
            if output is not None:
                error.add_note(f"In compile_args, output {output!r}")
            raise
    return {
        "loss": _like(loss, wrapped_losses),
        "weighted_metrics": _like(loss, wrapped_metrics),
    }


def _token_mean(loss: Any) -> TokenMean | None:
    return loss if loss is None or isinstance(loss, TokenMean) else TokenMean(loss)


def _token_wise(
    loss: TokenMean | None, metrics: list[Any], weighted_metrics: list[Any]
) -> list[Any]:
    ignored = None if loss is None else loss.ignored_label
    wrapped = [
        metric
        if isinstance(metric, TokenWise | TokenLoss)
        else TokenWise(metric, ignore_value=ignored, weighted=weighted)
        for some, weighted in [(metrics, False), (weighted_metrics, True)]
        for metric in some
    ]
    has_token_loss = any(isinstance(metric, TokenLoss) for metric in wrapped)
    return wrapped if loss is None or has_token_loss else [*wrapped, TokenLoss(loss)]


def _by_output(what: str, given: Any) -> dict[Output, Any]:
    if isinstance(given, Mapping):
        outputs = dict(given)
    elif isinstance(given, list | tuple):
        outputs = dict(enumerate(given))
    else:
        outputs = {None: given}
    if not outputs or all(value is None for value in outputs.values()):
        raise ValueError(
            f"compile_args: {what} must be a loss, or a dict or list of losses by output, "
            f"got {given!r}. For example 'sparse_categorical_crossentropy'."
        )
    return outputs


def _of_outputs(
    what: str, given: Any, loss: Any, losses: dict[Output, Any]
) -> dict[Output, list[Any]]:
    """Return output -> its metrics, or refuse what has not the form of the losses."""
    if given is None:
        return {}
    if isinstance(loss, Mapping):
        if not isinstance(given, Mapping) or not set(given) <= set(losses):
            raise ValueError(
                f"compile_args: {what} must be a dict with outputs of the loss {list(losses)}, "
                f"got {_shown(given)}. Give an output without a loss the loss None."
            )
        return {output: _as_list(metrics) for output, metrics in given.items()}
    if isinstance(loss, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(loss):
            raise ValueError(
                f"compile_args: {what} must be a list with an entry for each of the {len(loss)} "
                f"losses, got {_shown(given)}. Give an output without metrics the entry None."
            )
        return {output: _as_list(metrics) for output, metrics in enumerate(given)}
    if isinstance(given, Mapping):
        raise ValueError(
            f"compile_args: {what} must be a metric or a list for one loss, got {_shown(given)}. "
            "For several outputs give the losses as a dict too."
        )
    return {None: _as_list(given)}


def _as_list(metrics: Any) -> list[Any]:
    if metrics is None:
        return []
    return list(metrics) if isinstance(metrics, list | tuple) else [metrics]


def _shown(given: Any) -> str:
    return repr(sorted(given, key=str) if isinstance(given, Mapping) else given)


def _like(given: Any, outputs: Mapping[Output, Any]) -> Any:
    """Return values by output in the form in which the losses were given."""
    if isinstance(given, Mapping):
        return dict(outputs)
    return list(outputs.values()) if isinstance(given, list | tuple) else outputs[None]


def _check_instances(metrics: Sequence[Any]) -> None:
    instances = [metric for metric in metrics if isinstance(metric, keras.Metric)]
    for i, metric in enumerate(instances):
        if any(metric is other for other in instances[:i]):
            raise ValueError(
                f"compile_args: each metric must stand in one place, got {metric!r} in two. "
                "Make one for each."
            )
