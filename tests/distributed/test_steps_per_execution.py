"""Several steps in one execution on replicas: exact, if the strategy reduces without collectives."""

import pytest
import tensorflow as tf

from maskdata.compile_args import compile_args
from tests.distributed import runs


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_several_steps_in_one_execution_are_the_steps_of_one_device(optimizer: str) -> None:
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = runs.make_model(masked=True)
        arguments = compile_args(runs.LOSS, metrics=["accuracy"])
        model.compile(runs.make_optimizer(optimizer), **arguments, steps_per_execution=2)
    start = runs.flat(model)
    data = runs.dataset(2, weighted=True, masked=True)
    log = {name: values[0] for name, values in model.fit(data, verbose=0).history.items()}
    change = runs.flat(model) - start
    errors = runs.relative_errors((change, log), runs.truth(2, optimizer, weighted=True))
    assert max(errors.values()) < 1e-6, errors
    assert set(model.evaluate(data, verbose=0, return_dict=True)) == set(log)
