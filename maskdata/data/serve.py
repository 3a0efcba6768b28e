"""A command line -> a dispatcher or a worker of the tf.data service.

`python -m maskdata.data.serve dispatcher --port 5050` on one machine, and on others
`python -m maskdata.data.serve worker --dispatcher 10.0.0.1:5050 --address 10.0.0.2:5051`.
It also loads the ops of tensorflow-text, which a plain server does not know.
"""

import argparse
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text  # noqa: F401  its ops

service = tf.data.experimental.service


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m maskdata.data.serve")
    commands = parser.add_subparsers(dest="command", required=True)
    dispatcher = commands.add_parser("dispatcher", help="one for all: it shares out the work")
    dispatcher.add_argument("--port", type=int, default=5050)
    dispatcher.add_argument(
        "--work_dir", help="a folder for its state, so that it can be restarted: jobs go on"
    )
    worker = commands.add_parser("worker", help="as many as you like: they run the pipelines")
    worker.add_argument("--dispatcher", required=True, help="HOST:PORT")
    worker.add_argument("--address", required=True, help="HOST:PORT, as the trainer reaches it")
    options = parser.parse_args(arguments)
    if options.command == "dispatcher":
        config = service.DispatcherConfig(
            port=options.port,
            work_dir=options.work_dir,
            fault_tolerant_mode=options.work_dir is not None,
        )
        service.DispatchServer(config).join()
    else:
        config = service.WorkerConfig(
            dispatcher_address=options.dispatcher,
            worker_address=options.address,
            port=int(options.address.rpartition(":")[2]),
        )
        service.WorkerServer(config).join()


if __name__ == "__main__":
    main()
