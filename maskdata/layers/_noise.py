"""Values and their coordinates -> the same values, some dropped: by seed and coordinates alone."""

from collections.abc import Sequence

import keras
from keras import ops

from maskdata._masks import Tensor


def drop(
    inputs: Tensor,
    rate: float,
    seed_generator: keras.random.SeedGenerator,
    coordinates: Sequence[Tensor],
) -> Tensor:
    """Return `inputs` with a share of `rate` of the values 0, and the others scaled up for it.

    The coordinates are integers that broadcast against each other to the shape of the inputs. One
    number is drawn for the whole call; whether a value is dropped is read from the hash of it and
    of the value's coordinates. Noise that is drawn for all values depends on how many there are.
    """
    if rate == 1:
        return ops.zeros_like(inputs)
    drawn = keras.random.randint((), 0, 2**31 - 1, dtype="int32", seed=seed_generator)
    bits = ops.cast(drawn, "uint32")
    for coordinate in coordinates:
        bits = _mix(ops.bitwise_xor(bits, ops.cast(coordinate, "uint32")))
    # Numbers from 0 to 1 with the 24 bits of float32; not all backends compare uint32 on a GPU.
    uniform = ops.cast(ops.right_shift(bits, _uint32(8)), "float32") * 2.0**-24
    return ops.where(uniform >= rate, inputs / (1 - rate), 0)


def _mix(bits: Tensor) -> Tensor:
    # "lowbias32" of https://github.com/skeeto/hash-prospector: a bijection of 32 bits, each of
    # which changes each other with nearly the chance of one half.
    for shift, factor in (16, 0x7FEB352D), (15, 0x846CA68B):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(shift)))
        bits = ops.multiply(bits, _uint32(factor))
    return ops.bitwise_xor(bits, ops.right_shift(bits, _uint32(16)))


def _uint32(number: int) -> Tensor:
    return ops.convert_to_tensor(number, "uint32")
