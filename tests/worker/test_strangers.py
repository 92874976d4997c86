"""What comes out of a sandbox is made safe before anybody keeps it."""

import json
import math
import os

import pytest

from modelyard.protocol.jobs import LogLine, MetricPoint, Progress
from modelyard.worker import scratch
from modelyard.worker.strangers import LONGEST_LINE, Rate, clean, read_note, sound


def test_text_keeps_letters_and_tabs_and_loses_what_moves_a_cursor_or_a_database():
    assert clean("größe\t1\x00\x1b[31m\x9b\r\n\udcff") == "größe\t1[31m ?"
    assert len(clean("x" * 10_000)) == LONGEST_LINE


def test_an_events_stream_time_and_range_are_the_platforms():
    line = sound(LogLine(line="x", at=math.nan, stream="platform"))
    assert (line.stream, line.at > 1e9) == ("out", True)
    assert sound(Progress(phase="p" * 1000, fraction=-3, eta_seconds=-1)) == Progress(
        phase="p" * 199 + "…", fraction=0.0, eta_seconds=None
    )
    assert sound(Progress(phase="p", fraction=math.inf)) is None
    assert sound(MetricPoint(name="m", step=1, value=math.nan, at=0)) is None
    assert sound(MetricPoint(name="m", step=-1, value=0, at=0)) is None
    assert sound(MetricPoint(name="m", step=1 << 60, value=0, at=0)) is None


def test_a_rate_lets_a_burst_through_and_then_so_many_a_second():
    rate = Rate(per_second=1, at_once=3)
    assert [rate.allows() for _ in range(5)] == [True, True, True, False, False]


def test_a_note_keeps_its_sentence_where_its_detail_cannot_be_kept(tmp_path):
    for detail in ("\0", "\ud800"):
        note = {"code": "x", "message": "why", "detail": {"a": detail}}
        (tmp_path / "failure.json").write_text(json.dumps(note))
        kept = read_note(tmp_path)
        assert kept is None or (kept.message, kept.detail) == ("why", {})
    (tmp_path / "failure.json").write_text(json.dumps({"code": "x", "message": "why", "detail": {"a": 1}}))
    assert read_note(tmp_path).detail == {"a": 1}


@pytest.mark.parametrize("depth", [3000])
def test_a_tree_that_is_deep_closed_and_full_of_links_is_removed(tmp_path, depth):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    folder = scratch.make(tmp_path, "job_1", 1)
    (folder / "link").symlink_to(outside)
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed" / "inner" / "file").write_text("x")
    (folder / "closed").chmod(0)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    scratch.remove(folder)
    assert not folder.exists()
    assert (outside / "kept").read_text() == "kept"
