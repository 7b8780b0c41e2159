"""The arrows of ARCHITECTURE.md hold, importing is quick work, and the files stay small."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each part may import of the project, besides itself. Everything but attention may use the two plain modules.
PLAIN = {"errors", "config"}
ARROWS = {
    "errors": set(),
    "config": {"errors"},
    "attention": set(),
    "layers": {"attention"} | PLAIN,
    "models": {"attention", "layers"} | PLAIN,
    "families": {"models", "layers", "attention"} | PLAIN,
    "folders": {"families", "models", "checkpoints"} | PLAIN,
    "pretrained": {"inference", "folders", "families", "models", "data", "checkpoints"} | PLAIN,
    "pipelines": {"pretrained", "folders", "data", "attention"} | PLAIN,
    "objectives": set(PLAIN),
    "data": {"objectives"} | PLAIN,
    "tasks": {"data", "objectives"} | PLAIN,
    "inference": {"models", "layers", "attention", "tasks", "data", "objectives", "checkpoints"} | PLAIN,
    "training": {"models", "layers", "attention", "families", "folders", "tasks", "data", "objectives", "inference"}
    | {"checkpoints"}
    | PLAIN,
    "checkpoints": {"models", "layers"} | PLAIN,
}
BANNED = {"absl", "ml_collections", "tensorflow", "configs", "launch", "torch", "transformers", "clu"}


def imports(path: pathlib.Path) -> set[str]:
    """The dotted names that a file imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files() -> list[pathlib.Path]:
    return sorted((ROOT / "t2t").rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path):
    parts = path.relative_to(ROOT / "t2t").with_suffix("").parts
    if parts == ("__init__",):
        return  # the public names, exported lazily
    room = parts[0]
    for name in imports(path):
        first, *rest = name.split(".")
        assert first not in BANNED, f"{path} imports {name}"
        if first == "t2t":
            assert rest, f"{path} imports the package itself"
            assert rest[0] == room or rest[0] in ARROWS[room], f"{path}: no arrow leads from {room} to {rest[0]}"


def test_every_room_is_in_the_table():
    rooms = {
        p.name.removesuffix(".py") for p in (ROOT / "t2t").iterdir() if p.name not in ("__init__.py", "__pycache__")
    }
    assert rooms - {"py.typed"} == set(ARROWS)


def test_importing_t2t_brings_nothing_heavy():
    """`import t2t` stays under two seconds because it loads none of these."""
    heavy = ("jax", "orbax", "grain", "matplotlib", "tensorflow", "sympy")
    code = f"import sys, t2t; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_nothing_brings_tensorflow():
    code = (
        "import sys, pkgutil, importlib, t2t\n"
        "for m in pkgutil.walk_packages(t2t.__path__, 't2t.'): importlib.import_module(m.name)\n"
        "print([m for m in ('tensorflow', 'torch', 'ml_collections') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 320, f"{path} has {lines} lines: a file holds one idea, in 300 lines or so; split it"


def test_no_two_tests_have_one_name():
    """pytest imports test files by their names alone: of two with one name, it would run neither's folder whole."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"__init__.py"}, f"rename one of each: {sorted(twice)}"
