"""One replica's sums -> the quotient of all replicas' sums, as a loss on this replica."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from maskdata._masks import Tensor


def mean_over_replicas(total: Tensor, weight: Tensor) -> Tensor:
    """Return the sum of the totals of all replicas divided by the sum of their weights.

    Optimizers add up the gradients of the replicas, so the gradient is that of this replica's
    share, `total / sum of weights`. Keras multiplies the value by the number of replicas before it
    logs it, weighted by rows; so the value is one and the same on every replica, the mean
    divided by their number. Both are right for any split of the rows.
    """
    (whole_total, whole_weight), replicas = _sum_over_replicas([ops.stop_gradient(total), weight])
    if replicas == 1:
        return ops.divide_no_nan(total, weight)
    share = ops.divide_no_nan(total, whole_weight)
    value = ops.stop_gradient(ops.divide_no_nan(whole_total, whole_weight)) / replicas
    return value + (share - ops.stop_gradient(share))


def check_in_scope(who: str, variables: Iterable[keras.Variable]) -> None:
    """Refuse variables that are not one for each replica: replicas would overwrite each other."""
    context = _replica_context()
    if context is None:
        return
    is_in_scope = context.strategy.extended.variable_created_in_scope
    if not all(is_in_scope(variable.value) for variable in variables):
        raise ValueError(
            f"{who}: metrics must be made in the scope of the strategy that runs them, got "
            "variables made outside. Call compile_args, or make the metric, in strategy.scope()."
        )


def _sum_over_replicas(values: list[Tensor]) -> tuple[list[Tensor], int]:
    """Return the values summed over the replicas, and how many replicas there are."""
    context = _replica_context()
    if context is None:
        return values, 1
    return context.all_reduce("SUM", values), context.num_replicas_in_sync


def _replica_context() -> Any:
    """Return TensorFlow's context of this replica, or None where there are no others."""
    if keras.backend.backend() != "tensorflow":
        return None
    # Only TensorFlow has replicas, as in Keras' own `scale_loss_for_distribution`.
    import tensorflow as tf

    context = tf.distribute.get_replica_context()  # None: in the scope, but not in a step
    return None if context is None or context.num_replicas_in_sync == 1 else context
