"""A tf.data service on this machine: one dispatcher and some workers, each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from types import TracebackType


class Cluster:
    """Starts with `with`, ends with it."""

    def __init__(self, num_workers: int) -> None:
        dispatcher, *workers = free_ports(1 + num_workers)
        self.address = f"grpc://localhost:{dispatcher}"
        self._ports = [dispatcher, *workers]
        self._commands = [["dispatcher", "--port", str(dispatcher)]] + [
            ["worker", "--dispatcher", f"localhost:{dispatcher}", "--address", f"localhost:{port}"]
            for port in workers
        ]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        self._processes = [self._start(command) for command in self._commands]
        self.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def kill(self, server: int) -> None:
        """End the dispatcher, 0, or a worker, from 1, without a word."""
        self._processes[server].send_signal(signal.SIGKILL)
        self._processes[server].wait()

    def restart(self, server: int) -> None:
        """Start one again at its old address."""
        self._processes[server] = self._start(self._commands[server])

    def wait(self) -> None:
        """Wait until all of them listen."""
        deadline = time.monotonic() + 60
        for port in self._ports:
            while not _listens(port):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody listens at port {port}")
                time.sleep(0.1)

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "maskdata.data.serve", *command],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
