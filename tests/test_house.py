"""The house itself: where files lie, how long they are, what they may be called."""

import ast
import statistics
import sys
import tomllib

import pytest
from helpers import ROOT

PACKAGE = ROOT / "kalmanrnn"
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(p.parent for p in PACKAGE.rglob("__init__.py") if p.parent != PACKAGE)
TOP = sorted(p.name for p in PACKAGES if p.parent == PACKAGE)


def body_lines(function):
    """Lines of a function's body, its docstring left out."""
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_root_holds_packages_and_three_files():
    files = sorted(p.name for p in PACKAGE.iterdir() if p.is_file())
    assert files == ["__init__.py", "__main__.py", "py.typed"]


def test_the_contract_names_every_package():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c["name"] == "imports point down")
    assert sorted(layers["layers"]) == TOP


def test_the_readme_names_every_package():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in TOP if f"| `kalmanrnn.{name}` |" not in readme] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_package_says_in_a_sentence_what_it_holds(package):
    doc = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert doc
    assert doc.splitlines()[0].endswith(".")


def test_nothing_shadows_the_standard_library():
    names = {p.stem for p in FILES} | {p.name for p in PACKAGES}
    assert names & set(sys.stdlib_module_names) == set()


def test_functions_fit_a_screen():
    long = {
        f"{path.relative_to(PACKAGE)}:{node.name}": body_lines(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and body_lines(node) > 60
    }
    assert long == {}


def test_the_median_file_is_short():
    lengths = [len(p.read_text().splitlines()) for p in FILES if p.name != "__init__.py"]
    assert statistics.median(lengths) <= 150


def test_every_file_says_what_it_holds():
    assert [p for p in FILES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_tests_mirror_packages():
    folders = {p.parent.name for p in (ROOT / "tests").glob("*/test_*.py")}
    assert folders == set(TOP)
