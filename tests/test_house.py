"""The rules of the house that no linter knows, each with a planted fault that it must find."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planorder.decoding import PRESETS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("puzzles", "planorder", "benchmarks", "notebooks", "tests", "docs")
TEXT = {".py", ".md", ".toml", ".txt", ".cff", ".sh", ".ipynb", ".json", ".csv", ""}
COMMAND_LINES = {
    "__main__.py", "ablation.py", "analysis.py", "bench.py", "catalogue.py", "console.py", "frontier.py",
    "generate.py", "nelbo.py", "reproduce.py", "show.py", "study.py", "survey.py", "sweep.py", "train.py",
}  # fmt: skip
CHOICES = ("orders", "noise", "budgets", "picks", "remask")
LONGEST = 400


def library_files() -> list[Path]:
    """The Python files that users import."""
    return [path for room in ("puzzles", "planorder") for path in sorted((ROOT / room).rglob("*.py"))]


def faults(check: Callable[[ast.Module], Iterator[str]], paths: list[Path]) -> list[str]:
    """What a check finds in some files, with their names."""
    found = []
    for path in paths:
        found += [f"{path.relative_to(ROOT)}: {fault}" for fault in check(ast.parse(path.read_text()))]
    return found


def global_seeds(tree: ast.Module) -> Iterator[str]:
    """Calls that seed a global generator; torch's may under ``fork_rng``, which gives the state back."""
    forked: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item) for item in node.items):
            forked.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            is_torch = name in ("torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all")
            if name in ("np.random.seed", "numpy.random.seed", "random.seed") or (
                is_torch and node not in forked
            ):
                yield f"line {node.lineno} seeds a global generator: {name}"


def output(tree: ast.Module) -> Iterator[str]:
    """Calls that print or set up logging."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "logging.basicConfig"):
            yield f"line {node.lineno} calls {ast.unparse(node.func)}"


def loops(tree: ast.Module) -> Iterator[str]:
    """Statements that loop."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While):
            yield f"line {node.lineno} loops"


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions and methods that users may call; numba's have no types of their own."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and node.name[0] != "_" else [node]
        for function in inner:
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
                yield function


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions without a docstring."""
    for function in public_functions(tree):
        if not ast.get_docstring(function):
            yield f"{function.name} (line {function.lineno}) has no docstring"


def untyped(tree: ast.Module) -> Iterator[str]:
    """Public functions with an argument or a result without a type; numba infers those of its own."""
    for function in public_functions(tree):
        if any("njit" in ast.unparse(decorator) for decorator in function.decorator_list):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or function.returns is None:
            missing = ", ".join(bare) or "its result"
            yield f"{function.name} (line {function.lineno}) has no type for {missing}"


def tree_texts() -> dict[str, str]:
    """The text of every file of the project, by path."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths += [ROOT / ".ci" / "run", *ROOT.glob("*")]
    found = {}
    for path in paths:
        if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
            found[str(path.relative_to(ROOT))] = path.read_text()
    return found


def machine_paths(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    return re.findall(r"(?<![\w.*/])/(?:work|root|home|Users|opt)/[\w.-]+", text)


@pytest.mark.parametrize(
    ("check", "paths"),
    [
        (global_seeds, library_files()),
        (output, [path for path in library_files() if path.name not in COMMAND_LINES]),
        (loops, [ROOT / "planorder" / "decoding" / f"{choice}.py" for choice in CHOICES]),
        (undocumented, library_files()),
        (untyped, library_files()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_tree_keeps_the_rule(check: Callable, paths: list[Path]) -> None:
    assert paths
    assert faults(check, paths) == []


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (global_seeds, "np.random.seed(0)"),
        (global_seeds, "def f(seed):\n    torch.manual_seed(seed)"),
        (global_seeds, "with torch.random.fork_rng():\n    pass\ntorch.cuda.manual_seed_all(1)"),
        (output, "def f():\n    print(1)"),
        (output, "logging.basicConfig()"),
        (loops, "def score(view):\n    for step in range(3):\n        pass"),
        (loops, "def score(view):\n    while True:\n        pass"),
        (undocumented, "def f() -> None:\n    pass"),
        (undocumented, "class A:\n    def f(self) -> None:\n        pass"),
        (untyped, "def f(x) -> None:\n    pass"),
        (untyped, "def f(*, x: int, y) -> None:\n    pass"),
        (untyped, "class A:\n    def f(self, x: int):\n        pass"),
    ],
)
def test_a_planted_fault_is_found(check: Callable, fault: str) -> None:
    assert len(list(check(ast.parse(fault)))) == 1


@pytest.mark.parametrize(
    ("check", "sound"),
    [
        (global_seeds, "with torch.random.fork_rng(devices=[]):\n    torch.manual_seed(0)"),
        (global_seeds, "generator.manual_seed(0)"),
        (untyped, "@njit(cache=True)\ndef f(x):\n    pass"),
        (untyped, "def _f(x):\n    pass"),
        (undocumented, "class _A:\n    def f(self):\n        pass"),
    ],
)
def test_what_is_sound_is_left_alone(check: Callable, sound: str) -> None:
    assert list(check(ast.parse(sound))) == []


def test_every_preset_says_where_it_was_published_and_what_it_does() -> None:
    for name, strategy in PRESETS.items():
        assert strategy.name == name
        assert strategy.source, name
        assert strategy.description, name


def test_all_files_name_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    newest = re.search(
        r"^## \[(?:Unreleased\] - will be )?(\d[^\s\]]*)", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert cited
    assert newest
    assert {project, cited[1], newest[1]} == {project}


def test_everything_that_is_installed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.M))
    assert {re.match(r"[\w-]+", line)[0] for line in wanted} - pinned == UNPINNED


UNPINNED = {"pandas-stubs"}
"""Types for the checker, released beside pandas under other numbers."""


def test_no_file_names_a_place_on_one_machine() -> None:
    texts = tree_texts()
    assert {"LICENSE", "Makefile", "tests/test_house.py", ".ci/run"} <= set(texts)
    assert {name: found for name, text in texts.items() if (found := machine_paths(text))} == {}


def test_a_place_on_one_machine_is_found() -> None:
    for folder in ("work", "root", "home"):
        assert machine_paths(f"see /{folder}/me/puzzles.txt") == [f"/{folder}/me"]
    assert machine_paths("docs/work/me, https://example.org/home/me and */root/x") == []


def test_every_python_file_is_read_in_one_sitting() -> None:
    lengths = {name: text.count("\n") for name, text in tree_texts().items() if name.endswith(".py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
