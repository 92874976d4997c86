"""Imports go down only: the contracts of importlinter.toml, and what they cannot say."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

# What of a feature others may import; and what besides by those that speak HTTP: who is calling, how rows are shown.
OPEN = {"operations", "schemas", "errors"}
# Operations that are too many for one file.
MORE_OPERATIONS = {"catalogue.configurations", "catalogue.known", "catalogue.parameters", "jobs.history"}
OPEN_TO_ROUTES = {"dependencies", "presenting", "routes"}
SPEAK_HTTP = ("routes", "internal", "streams", "presenting")


def test_every_import_contract_is_kept(root: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run(
        [linter, "--config", "importlinter.toml", "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_feature_is_used_through_its_operations_schemas_and_errors(graph: grimp.ImportGraph) -> None:
    assert intrusions(edges(graph)) == []


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("models.operations", "auth.operations", True),
        ("models.operations", "models.tables", True),
        ("models.routes", "auth.dependencies", True),
        ("models.operations", "auth.dependencies", False),
        ("models.operations", "datasets.tables", False),
        ("builder.routes", "training.queries", False),
        ("builder.operations", "training.routes", False),
    ],
)
def test_the_rule_tells_a_feature_s_own_files_from_those_of_others(
    importer: str, imported: str, *, allowed: bool
) -> None:
    edge = (f"modelyard.features.{importer}", f"modelyard.features.{imported}")
    assert (intrusions([edge]) == []) is allowed


def edges(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """(importer, imported) of every import there is."""
    return [(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)]


def intrusions(found: list[tuple[str, str]]) -> list[str]:
    """The imports that reach into another feature's private files."""
    return sorted(f"{one} -> {other}" for one, other in found if not _allowed(one, other))


def _allowed(importer: str, imported: str) -> bool:
    one, other = _place(importer), _place(imported)
    if one is None or other is None or one[0] == other[0]:
        return True
    if other[1] in OPEN or ".".join(other) in MORE_OPERATIONS:
        return True
    return one[1].endswith(SPEAK_HTTP) and other[1] in OPEN_TO_ROUTES


def _place(module: str) -> tuple[str, str] | None:
    """(feature, file) of a feature's module."""
    parts = module.split(".")
    return (parts[2], parts[3]) if parts[:2] == ["modelyard", "features"] and len(parts) > 3 else None
