"""The address of a tf.data service -> someone who answers there, or an error in time."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from maskdata.data import _check

RETRY_S = 0.2


def host_and_port(who: str, service: str) -> tuple[str, int]:
    """Return where the dispatcher listens.

    >>> host_and_port("doctest", "grpc://localhost:5050")
    ('localhost', 5050)
    """
    host, _, port = service.rpartition("//")[2].rpartition(":")
    if not host or not port.isdigit():
        remedy = "Pass 'grpc://HOST:PORT'."
        _check.refuse(who, "service must be the address of a dispatcher", service, remedy)
    return host.strip("[]"), int(port)


def ask(who: str, service: str, question: Callable[[], Any], timeout_s: float) -> Any:
    """Return the answer to a question that tf.data would wait for without end."""
    deadline = time.monotonic() + timeout_s
    while not _listens(service, who):
        if time.monotonic() > deadline:
            _refuse(who, service, timeout_s, "Start it, or check the address and the firewall.")
        time.sleep(RETRY_S)
    answers: list[Any] = []
    errors: list[Exception] = []

    def put_question() -> None:
        try:
            answers.append(question())
        except Exception as error:  # for the thread that waits
            errors.append(error)

    thread = threading.Thread(target=put_question, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), RETRY_S))
    if errors:
        raise errors[0]
    if not answers:
        _refuse(who, service, timeout_s, "Something listens there that is no dispatcher.")
    return answers[0]


def _listens(service: str, who: str) -> bool:
    try:
        socket.create_connection(host_and_port(who, service), timeout=RETRY_S * 10).close()
    except OSError:
        return False
    return True


def _refuse(who: str, service: str, timeout_s: float, remedy: str) -> None:
    must = f"a dispatcher must answer within timeout_s={timeout_s} seconds"
    _check.refuse(who, must, service, remedy, TimeoutError)
