"""All contenders for one work, in alternation: who does it, in which setting, and how fast."""

import itertools
import json
import math
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from tests.speed import worker
from tests.speed.contender import Summary, does_the_work
from tests.speed.environments import ROOT
from tests.speed.rows import Rows

PATIENCE = 900  # seconds for one pass


class Worker(Protocol):
    """Whoever answers the questions of `tests.speed.worker` about the contenders of a module."""

    name: str

    def ask(self, **question: Any) -> worker.Answer: ...


@dataclass(frozen=True)
class Here:
    """In this process."""

    name: str

    def ask(self, **question: Any) -> worker.Answer:
        return worker.answer(self.name, question)


@dataclass(frozen=True)
class Nowhere:
    """There is no process, for a reason."""

    name: str
    why: str

    def ask(self, **question: Any) -> worker.Answer:
        return {"problem": self.why}


class Elsewhere:
    """In a process of its own, with the Python of its environment."""

    def __init__(self, name: str, python: Path, log: Path):
        self.name, self.log = name, log
        command = [python, "-m", "tests.speed.worker", name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, cwd=ROOT, **pipes, stderr=stderr, text=True)

    def ask(self, **question: Any) -> worker.Answer:
        alarm = threading.Timer(PATIENCE, self.process.kill)
        alarm.start()
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            last_words = (self.log.read_text().splitlines() or ["no message"])[-1]
            return {"problem": f"its process ended: {last_words}"}
        finally:
            alarm.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.communicate(timeout=30)  # no more questions: it ends, and cleans up
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class ProblemError(Exception):
    """Why a contender has no result."""


@dataclass
class Result:
    """How one contender did. With a problem, the other numbers mean nothing."""

    name: str
    worker: Worker
    differs: str = ""
    whole: bool = True
    settings: list[str] = field(default_factory=list)
    setting: str = ""  # the fastest
    seconds: list[float] = field(default_factory=list)
    summary: Summary | None = None
    problem: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ask(self, do: str, setting: str, rows: Rows) -> worker.Answer:
        question = {"contender": self.name, "setting": setting, "rows": str(rows.directory)}
        return _without_problem(self.worker.ask(do=do, **question))

    def choose(self, small: Rows, full: Rows) -> None:
        """Keep the fastest setting; each of them must do the work."""
        times = {}
        for setting in self.settings:
            self.check(setting, small)
            times[setting] = self.time(setting, full)
        self.setting = min(times, key=times.__getitem__)
        self.seconds.append(times[self.setting])

    def time(self, setting: str, rows: Rows) -> float:
        seconds = self.ask("time", setting, rows)["seconds"]
        print(f"{seconds:7.2f} s  {self.name}{setting and ': '}{setting}", flush=True)
        return seconds

    def repeat(self, full: Rows, enough: float) -> None:
        if sum(self.seconds) < enough:
            self.seconds.append(self.time(self.setting, full))

    def check(self, setting: str, rows: Rows) -> None:
        if self.whole:
            self.summary = Summary(**self.ask("summarise", setting, rows))
            if not does_the_work(self.summary, rows):
                raise ProblemError(f"{setting!r} gives other rows than it was given")


def _without_problem(answer: worker.Answer) -> worker.Answer:
    if "problem" in answer:
        raise ProblemError(answer["problem"])
    return answer


def compare(
    workers: Iterable[Worker], small: Rows, full: Rows, rounds: int, enough: float = math.inf
) -> list[Result]:
    """Measure the contenders of all workers; they take turns in every round.

    A contender may come in several settings. The first round measures each of them, and the
    fastest stays for the other rounds, until it took `enough` seconds in all. At the end, that one
    is checked on the full rows too; this is not measured, and the workers do it side by side.
    """
    results = [result for each in workers for result in _results(each)]
    _try_each(results, lambda result: result.choose(small, full))
    for _ in range(rounds - 1):
        _try_each(results, lambda result: result.repeat(full, enough))
    by_worker = [list(found) for _, found in itertools.groupby(results, lambda r: id(r.worker))]
    with ThreadPoolExecutor() as threads:
        check = [lambda result: result.check(result.setting, full)] * len(by_worker)
        list(threads.map(_try_each, by_worker, check))
    return results


def _try_each(results: Iterable[Result], step: Callable[[Result], None]) -> None:
    for result in results:
        if not result.problem:
            try:
                step(result)
            except ProblemError as problem:
                result.problem = str(problem)


def _results(each: Worker) -> Iterator[Result]:
    try:
        for contender in _without_problem(each.ask(do="list"))["contenders"]:
            yield Result(worker=each, **contender)
    except ProblemError as problem:
        yield Result(each.name, each, problem=str(problem))
