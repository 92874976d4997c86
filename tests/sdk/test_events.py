"""Server-sent events come whole, however the stream is cut into pieces."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelyard.sdk.events import Event, EventReader

STREAM = (
    'id: 0\nevent: line\ndata: {"line": "grün – 數"}\n\n'
    ": still here\n\n"
    "id: 1\r\nevent: line\r\ndata: a\r\ndata: b\r\n\r\n"
    "data:no space\r\r"
    "event: end\ndata: {}\n\n"
    "data: never finished\n"
).encode()
EVENTS = [
    Event("line", '{"line": "grün – 數"}', "0"),
    Event("line", "a\nb", "1"),
    Event("message", "no space", "1"),
    Event("end", "{}", "1"),
]


def read(pieces):
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_a_stream_in_one_piece():
    assert read([STREAM]) == EVENTS


def test_a_stream_byte_by_byte():
    assert read([STREAM[place : place + 1] for place in range(len(STREAM))]) == EVENTS


@given(st.sets(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere(cuts):
    places = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[begin:end] for begin, end in itertools.pairwise(places)]) == EVENTS
