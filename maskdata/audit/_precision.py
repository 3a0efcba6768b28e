"""Matrix products in full precision for a while, so that rounding is not taken for a change."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Switch off TensorFloat-32, which GPUs use by default.

    It keeps 10 bits of each number, and how its rounding falls depends on the shapes: a batch that
    is padded further would differ by about 1e-3.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        config = tf.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)  # noqa: FBT003  TensorFlow's own signature
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)
    elif backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    else:
        yield
