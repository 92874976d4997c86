"""DuckDB as the importers use it: little memory, no network, no files but the job's own."""

import glob
from collections.abc import Sequence
from pathlib import Path

import duckdb

MEMORY = "256MB"
THREADS = 2
WIDE = 500
KIB_PER_COLUMN = 350  # 5,000 columns: a limit of 1.7 GB, of which 0.9 GB was seen in use
GROUP_CELLS = 1_500_000
LARGEST_GROUP = 122_880
SMALLEST_GROUP = 2_048


def connect(work: Path, readable: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    """An empty DuckDB that may read `readable`, and read and write below `work`, where it also puts what does not fit
    in memory.
    """
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "threads": THREADS,
            "temp_directory": str(work / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    connection.execute(f"SET allowed_directories = [{literal(str(work))}]")
    connection.execute(f"SET allowed_paths = [{', '.join(literal(str(path)) for path in readable)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET enable_external_file_cache = false")
    return connection


def widen(connection: duckdb.DuckDBPyConnection, columns: int) -> None:
    """Give a wide table what it needs: DuckDB holds 2,048 values of each column at a time, several times over."""
    if columns > WIDE:
        connection.execute("SET threads = 1")
        connection.execute(f"SET memory_limit = '{max(256, columns * KIB_PER_COLUMN // 1024)}MB'")


def literal(text: str) -> str:
    """A string as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def file(path: Path) -> str:
    """A path as SQL writes it, without meaning to the pattern matching that DuckDB does on paths."""
    return literal(glob.escape(str(path)))


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, path: Path, *, columns: int, codec: str) -> None:
    """Write the rows of `query`, in order. A row group holds some million values, however many columns they are in."""
    widen(connection, columns)
    rows = max(SMALLEST_GROUP, min(LARGEST_GROUP, GROUP_CELLS // columns))
    options = f"FORMAT parquet, COMPRESSION {codec}, ROW_GROUP_SIZE {rows}"
    connection.execute(f"COPY ({query}) TO {literal(str(path))} ({options})")
