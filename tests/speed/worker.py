"""One process for each environment: answers questions about its contenders, idle in between.

`python -m tests.speed.worker MODULE` reads one question a line from stdin and writes one answer a
line to stdout, all JSON; the rows themselves are files. The questions (`rows` is their directory):

    {"do": "list"}
        -> {"contenders": [{"name", "differs", "whole", "settings": [...]}, ...], "versions": {...}}
    {"do": "summarise", "contender": name, "setting": name, "rows": path}
        -> the fields of `Summary`
    {"do": "time", "contender": name, "setting": name, "rows": path}
        -> {"seconds": 1.23}

or, in place of any of these, {"problem": "what went wrong"}.
"""

import importlib
import importlib.metadata
import json
import os
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tests.speed import contender, rows

Answer = dict[str, Any]


def answer(module: str, question: dict[str, Any]) -> Answer:
    try:
        if question["do"] == "list":
            return _list(module)
        epoch = _epoch(module, question["contender"], question["setting"], question["rows"])
        if question["do"] == "summarise":
            return asdict(contender.summarise(epoch))
        return {"seconds": contender.seconds(epoch)}
    except Exception as error:
        words = " ".join(str(error).split())
        return {"problem": f"{type(error).__name__}: {words[:200]}"}


def _list(module: str) -> Answer:
    imported = importlib.import_module(module)
    return {
        "contenders": [
            {"name": c.name, "differs": c.differs, "whole": c.whole, "settings": list(c.settings)}
            for c in imported.CONTENDERS
        ],
        "versions": {name: importlib.metadata.version(name) for name in imported.DISTRIBUTIONS},
    }


@cache  # what is built once for many epochs is not part of an epoch
def _epoch(module: str, name: str, setting: str, directory: str) -> contender.Epoch:
    contenders = {c.name: c for c in importlib.import_module(module).CONTENDERS}
    return contenders[name].settings[setting](_rows(directory))


@cache
def _rows(directory: str) -> rows.Rows:
    return rows.load(Path(directory))


def main() -> None:
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        for line in sys.stdin:
            print(json.dumps(answer(sys.argv[1], json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
