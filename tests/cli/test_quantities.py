"""Durations and sizes as people write them."""

import click
import pytest

from modelyard.cli.quantities import DURATION, SIZE


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("15 min", 900), ("2h", 7200), ("30D", 2_592_000)]
)
def test_durations(text, seconds):
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("512M", 512 << 20), ("1G", 1 << 30), ("1.5GiB", 3 << 29), ("2kb", 2048), ("7b", 7)],
)
def test_sizes(text, size):
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "soon", "-1s", "0", "5x", "1e3", "1G"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(click.BadParameter, match="no duration"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize("text", ["", "big", "-1", "0G", "5x", "1s"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(click.BadParameter, match="no size"):
        SIZE.convert(text, None, None)
