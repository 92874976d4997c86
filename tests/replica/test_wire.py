"""What goes between a replica and a process that is shut in: rows arrive as they were, and nonsense is told apart."""

import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.formats.base import Batch
from modelyard.replica import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The trusted end and the one inside."""
    outside, inside = socket.socketpair()
    with outside, inside:
        yield outside, inside


def soon() -> float:
    return time.monotonic() + 20


@given(rows=st.integers(1, 6), numbers=st.integers(0, 3), strings=st.integers(0, 3), data=st.data())
def test_rows_arrive_as_they_were(rows: int, numbers: int, strings: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(width=32), min_size=rows * numbers, max_size=rows * numbers))
    texts = data.draw(st.lists(TEXT, min_size=rows * strings, max_size=rows * strings))
    batch = Batch(np.array(values, np.float32).reshape(rows, numbers), np.array(texts, object).reshape(rows, strings))
    outside, inside = socket.socketpair()
    with outside, inside:
        wire.ask(outside, batch, soon())
        got, options = wire.asked(inside)
    assert options is None
    assert got.numbers.tobytes() == batch.numbers.tobytes()
    assert (got.numbers.shape, got.numbers.dtype) == (batch.numbers.shape, np.float32)
    assert got.strings.tolist() == batch.strings.tolist()
    assert got.strings.dtype == object


@pytest.mark.parametrize("numbers", [np.asfortranarray(np.ones((4, 3), np.float32)), np.ones((8, 3), np.float32)[::2]])
def test_rows_need_not_lie_in_one_piece(ends: tuple[socket.socket, socket.socket], numbers: np.ndarray) -> None:
    wire.ask(ends[0], Batch(numbers, np.empty((4, 0), object)), soon())
    assert (wire.asked(ends[1]).batch.numbers == 1).all()


def test_an_answer_of_many_megabytes_arrives_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    values = np.random.default_rng(0).random((1_000_000, 2)).astype(np.float32)
    sender = threading.Thread(target=ends[1].sendall, args=(wire.told(values),))
    sender.start()
    assert (wire.answer(ends[0], 1_000_000, 2, soon()) == values).all()
    sender.join()


def test_a_reason_is_told_and_cut(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(wire.told_failure("é" * 5000))
    with pytest.raises(wire.Refused, match=r"^é{999}"):
        wire.answer(ends[0], 1, 1, soon())


@pytest.mark.parametrize(
    "said",
    [
        struct.pack("<BII", wire.ANSWER, 1, 2),
        struct.pack("<BII", wire.ANSWER, 2, 1),
        struct.pack("<BII", wire.ANSWER, 2**32 - 1, 2**32 - 1),
        struct.pack("<BII", wire.READY, 0, 0),
        struct.pack("<BII", 77, 2, 2),
        struct.pack("<BII", wire.FAILED, 2**32 - 1, 0),
    ],
)
def test_what_cannot_be_an_answer_is_nonsense_and_nothing_of_its_size_is_kept(
    ends: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    ends[1].sendall(said)
    with pytest.raises(wire.Nonsense):
        wire.answer(ends[0], 2, 2, soon())


def test_an_end_in_the_middle_and_an_answer_that_trickles_are_told_apart(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    whole = wire.told(np.ones((2, 2)))
    ends[1].sendall(whole[:-1])
    with pytest.raises(TimeoutError):
        wire.answer(ends[0], 2, 2, time.monotonic() + 0.05)
    ends[1].sendall(whole[:-1])
    ends[1].close()
    with pytest.raises((EOFError, wire.Nonsense)):
        wire.answer(ends[0], 2, 2, soon())


def test_rows_that_nobody_takes_are_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    many = Batch(np.zeros((1_000_000, 3), np.float32), np.empty((1_000_000, 0), object))
    with pytest.raises(TimeoutError):
        wire.ask(ends[0], many, time.monotonic() + 0.1)


@pytest.mark.parametrize("values", [np.ones(3), np.float32(1), np.array([["a"]])])
def test_only_matrices_of_numbers_can_be_answered(values: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.told(values)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (wire.told_ready(), None),
        (wire.told_failure("no"), wire.Refused),
        (wire.told(np.ones((1, 1))), wire.Nonsense),
    ],
)
def test_it_must_say_first_that_it_is_ready(
    ends: tuple[socket.socket, socket.socket], said: bytes, error: type[Exception] | None
) -> None:
    ends[1].sendall(said)
    if error is None:
        wire.ready(ends[0], soon())
    else:
        with pytest.raises(error):
            wire.ready(ends[0], soon())
