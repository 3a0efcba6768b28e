"""Elements -> the same elements in another order, the same in every process."""

import tensorflow as tf


def mix_elements(dataset: tf.data.Dataset, buffer_size: int) -> tf.data.Dataset:
    """Shuffle elements with a fixed seed.

    The raw op because `tf.data.Dataset.shuffle` mixes the global seed into its own, which would
    make the order depend on what else a program does.
    """
    specs = tf.nest.flatten(dataset.element_spec)
    is_ragged = [isinstance(spec, tf.RaggedTensorSpec) for spec in specs]
    mixed = tf.raw_ops.ShuffleDatasetV3(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer_size,
        seed=1,
        seed2=1,
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        reshuffle_each_iteration=False,
        output_types=[
            tf.variant if ragged else spec.dtype
            for spec, ragged in zip(specs, is_ragged, strict=True)
        ],
        output_shapes=[
            tf.TensorShape(None) if ragged else spec.shape
            for spec, ragged in zip(specs, is_ragged, strict=True)
        ],
    )
    return tf.data.experimental.from_variant(mixed, dataset.element_spec)
