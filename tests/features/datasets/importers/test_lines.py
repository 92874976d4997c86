"""Logs: every line a row, whatever the file looks like."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.core.errors import Invalid
from modelyard.features.datasets.importers.errors import EmptyFile, NoRows, NotATable

Upload = Callable[..., Any]
LOGS = "log-clustering"
LINES = [
    "2024-01-31 10:00:00,123 INFO [main] started, in 3 s",
    "2024-01-31 10:00:01,001 WARN slow: 5 > 3",
    "\tat x.y(Z)",
]


def column(got: Any) -> list[str]:
    return [line for (line,) in got.rows]


@pytest.mark.parametrize("filename", ["server.log", "server.txt", "server", "messages.2024"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_line_is_a_row_of_the_one_column(uploaded: Upload, filename: str, end: str) -> None:
    assert column(uploaded(end.join(LINES), filename, LOGS)) == LINES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_any_encoding_is_read(uploaded: Upload, encoding: str) -> None:
    lines = [f"Jan  1 10:00:0{n} host daemon: Größe überschritten in Müller" for n in range(9)]
    assert column(uploaded("\n".join(lines).encode(encoding), "a.log", LOGS)) == lines


def test_empty_lines_are_counted_and_left_out(uploaded: Upload) -> None:
    got = uploaded("one line\n\n   \ntwo lines\n\n", "a.log", LOGS)
    assert column(got) == ["one line", "two lines"]
    assert got.problem("empty_lines")["count"] == 3


def test_binary_junk_is_cleaned_counted_and_named(uploaded: Upload) -> None:
    content = (
        b"fine\nbroken \x81\x8d\xff\x90 bytes\n\x00\x01\x02\nzero\x00byte\n\x1b[31mred\x1b[0m is no junk\n"
        + b"ok\n" * 20
    )
    got = uploaded(content, "a.log", LOGS)
    assert column(got)[:4] == ["fine", "broken  bytes", "zerobyte", "red is no junk"]
    assert (got.problem("junk_bytes")["count"], got.problem("junk_bytes")["rows"]) == (2, [2, 3])
    assert got.problem("empty_lines")["count"] == 1


def test_a_line_that_is_too_long_is_cut(uploaded: Upload) -> None:
    got = uploaded("short\n" + "x" * 100_000 + "\n", "a.log", LOGS)
    assert [len(line) for line in column(got)] == [5, 65_536]
    assert got.problem("long_lines")["rows"] == [2]


def test_quotes_commas_and_words_for_nothing_stay_as_they_are(uploaded: Upload) -> None:
    lines = ['say "hi', "a,b,c", "null", "12", "true", "'x' | y; z", '"quoted, line"']
    assert column(uploaded("\n".join(lines), "a.log", LOGS)) == lines


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(str.strip), min_size=1
    )
)
def test_every_text_comes_through(uploaded: Upload, lines: list[str]) -> None:
    first = "a first line that is one"  # what begins like a picture or an archive is one
    kept = [line.rstrip() for line in [first, *lines]]
    assert column(uploaded("\n".join([first, *lines]), "a.log", LOGS)) == kept


def test_a_table_with_a_column_of_lines_keeps_that_and_the_events(uploaded: Upload) -> None:
    got = uploaded('LineId,Level,Content,EventId\n1,INFO,"hello, you",E1\n2,INFO,bye,E2\n', "s.csv", LOGS)
    assert got.rows == [("hello, you", "E1"), ("bye", "E2")]
    objects = "\n".join(json.dumps({"ts": n, "message": f"line {n}", "pid": 3}) for n in range(3))
    assert column(uploaded(objects, "s.jsonl", LOGS)) == ["line 0", "line 1", "line 2"]


def test_json_without_a_message_is_taken_line_by_line(uploaded: Upload) -> None:
    objects = ['{"ts":1,"took":3}', '{"ts":2,"took":4}']
    assert column(uploaded("\n".join(objects), "s.json", LOGS)) == objects


def test_a_table_without_lines_says_what_is_missing(uploaded: Upload) -> None:
    with pytest.raises(Invalid, match="no column for the text"):
        uploaded("a,b\n1,2\n3,4\n", "table.csv", LOGS)


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7\nabc", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), bytes(range(256)) * 40],
    ids=["pdf", "png", "binary"],
)
def test_what_is_no_text_is_refused(uploaded: Upload, content: bytes) -> None:
    with pytest.raises(NotATable):
        uploaded(content, "a.log", LOGS)


def test_a_file_without_text_is_refused(uploaded: Upload) -> None:
    with pytest.raises(EmptyFile):
        uploaded(" \n" * 9, "a.log", LOGS)
    with pytest.raises(NoRows, match="no line"):
        uploaded(b"\x81\x8d\x8f\x90\n" * 9, "a.log", LOGS)


@pytest.mark.parametrize("scenario", ["tabular-classification", "time-series-prediction", "text-classification"])
def test_a_log_is_not_taken_for_a_table(uploaded: Upload, scenario: str) -> None:
    with pytest.raises(NotATable, match="log-clustering"):
        uploaded("\n".join(LINES[:2] * 20), "server.log", scenario)
