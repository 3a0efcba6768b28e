"""The front door: every public name, in the order in which data flow, documented in one way."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import maskdata as md

ROOT = Path(__file__).parents[2]
SECTIONS = ["Stage:", "Masking:", "Args:", "Shapes:", "Raises:", "Example:", "Source:"]


def public() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in md.__all__:
        value = getattr(md, name)
        found |= of_module(value, name) if inspect.ismodule(value) else {name: value}
    return found


def of_module(module: Any, name: str) -> dict[str, Any]:
    own = {
        inner: value
        for inner, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and inner[0] != "_"
    }
    names = getattr(module, "__all__", sorted(own))
    return {f"{name}.{inner}": getattr(module, inner) for inner in names}


@pytest.mark.parametrize("name", public())
def test_docstrings_have_the_same_sections_in_the_same_order(name: str) -> None:
    documentation = inspect.getdoc(public()[name])
    assert documentation
    first, blank, *_ = documentation.splitlines()
    assert first.endswith(".")
    assert blank == ""
    found = re.findall(r"^([A-Z][a-z]+:)", documentation, flags=re.MULTILINE)
    assert found == [section for section in SECTIONS if section in found], found
    required = {"Stage:", "Example:"} | ({"Shapes:"} if name != "compile_args" else set())
    assert required <= set(found), required - set(found)
    assert ">>>" in documentation


def test_api_page_has_the_same_names_in_the_same_order() -> None:
    headings = re.findall(
        r"^### `([\w.]+)`", (ROOT / "docs/api.md").read_text(), flags=re.MULTILINE
    )
    assert headings == list(public())


def test_nothing_else_is_public() -> None:
    submodules = {
        "data",
        "layers",
        "losses",
        "metrics",
        "describe",
        "compile_args",
        "testing",
        "beam",
    }
    visible = {name for name in vars(md) if not name.startswith("_")}
    assert visible - submodules == set(md.__all__) - submodules
