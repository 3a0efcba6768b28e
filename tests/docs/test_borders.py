"""The borders between modules, read from their imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "maskdata"
DATA = sorted((PACKAGE / "data").rglob("*.py"))
KERAS = [
    *(PACKAGE / name for name in ("losses.py", "metrics.py", "_masks.py", "compile_args.py")),
    *(
        path
        for folder in ("layers", "losses", "metrics")
        for path in (PACKAGE / folder).glob("*.py")
    ),
]
KERAS = sorted(path for path in KERAS if path.exists())
ALL = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path, *, only_top: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if only_top else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def of_package(names: set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(package + ".")}


@pytest.mark.parametrize("path", DATA, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_data_half_imports_no_keras(path: Path) -> None:
    assert not of_package(imports(path), "keras")
    assert not of_package(imports(path), "maskdata.layers") | of_package(
        imports(path), "maskdata.losses"
    )


@pytest.mark.parametrize("path", KERAS, ids=lambda path: path.name)
def test_the_keras_half_imports_no_tensorflow_at_its_top(path: Path) -> None:
    assert not of_package(imports(path, only_top=True), "tensorflow")
    assert not of_package(imports(path), "maskdata.data")


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module(path: Path) -> None:
    names = imports(path)
    assert not of_package(names, "tensorflow.python") | of_package(names, "keras.src")
    assert not of_package(names, "maskdata.testing") or path.name in ("__init__.py", "testing.py")
    text = path.read_text()
    assert text.startswith(('"""', 'r"""')), "a module begins with its docstring"
    assert len(text.splitlines()) <= 250, "one idea a file"


@pytest.mark.parametrize(
    "path", [p for p in DATA if p.name[0] != "_"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_first_line_of_a_data_module_is_its_arrow(path: Path) -> None:
    assert "->" in path.read_text().splitlines()[0]
