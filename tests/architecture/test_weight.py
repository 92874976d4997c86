"""What a process does not load: heavy libraries wait behind the seams, and `--help` answers at once."""

from collections.abc import Callable

import pytest

HEAVY = {
    "joblib", "lightgbm", "onnx", "onnxmltools", "optuna", "pandas", "polars", "ray", "scipy", "skl2onnx", "sklearn",
    "torch",
}  # fmt: skip

ModulesAfter = Callable[[str], set[str]]


@pytest.mark.parametrize("module", ["modelyard.api.app", "modelyard.gateway.main", "modelyard.controller.main"])
def test_a_serving_process_loads_no_training_library(module: str, modules_after: ModulesAfter) -> None:
    assert modules_after(f"import {module}") & HEAVY == set()


def test_the_gateway_loads_no_database(modules_after: ModulesAfter) -> None:
    assert modules_after("import modelyard.gateway.main") & {"sqlalchemy", "alembic", "psycopg", "duckdb"} == set()


def test_help_loads_neither_the_client_nor_its_decoration(modules_after: ModulesAfter) -> None:
    code = """
        import sys
        from modelyard.cli.main import main
        sys.argv = ["modelyard", "--help"]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
    """
    loaded = modules_after("\n".join(line.removeprefix(" " * 8) for line in code.splitlines()))
    assert loaded & (HEAVY | {"httpx", "rich", "pydantic", "fastapi", "sqlalchemy", "numpy"}) == set()


def test_importing_the_package_loads_nothing_else(modules_after: ModulesAfter) -> None:
    assert modules_after("import modelyard") & (HEAVY | {"httpx", "rich", "pydantic", "fastapi", "numpy"}) == set()
