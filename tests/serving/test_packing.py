"""Compressed bodies, both ways: whatever they claim, no more is unpacked than is allowed."""

import gzip
import random
import tracemalloc
import zlib

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.core.errors import Invalid, Malformed, TooLarge
from modelyard.serving.packing import MOST_MEMBERS, pack, unpack

BODY = b'{"x": 1.5}' * 1000


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def streamed_zstd(body: bytes) -> bytes:
    """A frame that does not say how long its data is."""
    packer = zstd.ZstdCompressor()
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": (b"gzip", gzip.compress(BODY)),
    "x-gzip": (b"x-gzip", gzip.compress(BODY)),
    "zlib": (b"deflate", zlib.compress(BODY)),
    "bare deflate": (b"deflate", bare_deflate(BODY)),
    "zstd": (b"zstd", zstd.compress(BODY)),
    "zstd of unknown length": (b"zstd", streamed_zstd(BODY)),
    "many members": (
        b"gzip",
        b"".join(gzip.compress(bytes([byte])) for byte in BODY[:200]) + gzip.compress(BODY[200:]),
    ),
    "many frames": (b"zstd", b"".join(zstd.compress(bytes([byte])) for byte in BODY[:200]) + zstd.compress(BODY[200:])),
    "an empty member": (b"gzip", gzip.compress(b"") + gzip.compress(BODY)),
    "a skippable frame": (b"zstd", b"\x50\x2a\x4d\x18\x04\0\0\0more" + zstd.compress(BODY)),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_is_whole_is_unpacked(name: str) -> None:
    packing, body = PACKED[name]
    assert unpack(body, packing, len(BODY)) == BODY
    with pytest.raises(TooLarge, match=f"larger than {len(BODY) - 1} bytes"):
        unpack(body, packing, len(BODY) - 1)


@pytest.mark.parametrize("name", PACKED)
def test_what_is_cut_off_or_followed_by_something_is_refused(name: str) -> None:
    packing, body = PACKED[name]
    for wrong in (body[:-1], body[: len(body) // 2], body + b"\0", body + b"more", b""):
        with pytest.raises(Malformed):
            unpack(wrong, packing, 10 * len(BODY))


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"zstd"])
@pytest.mark.parametrize(
    "body", [b"", b"x", BODY, random.Random(0).randbytes(200_000)], ids=["", "one", "rows", "noise"]
)
def test_what_was_packed_is_unpacked(coding: bytes, body: bytes) -> None:
    assert unpack(pack(body, coding), coding, len(body)) == body


def test_two_deflate_bodies_are_no_body() -> None:
    with pytest.raises(Malformed):
        unpack(zlib.compress(BODY) * 2, b"deflate", 10 * len(BODY))


@pytest.mark.parametrize("packing", [b"gzip", b"deflate", b"zstd"])
def test_a_bomb_costs_no_more_than_what_is_allowed(packing: bytes) -> None:
    bomb = pack(bytes(200 << 20), packing)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(TooLarge):
        unpack(bomb, packing, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_frame_that_asks_for_a_large_window_is_refused() -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    with pytest.raises(Malformed):
        unpack(packer.compress(BODY) + packer.flush(), b"zstd", 10 * len(BODY))


@pytest.mark.parametrize(
    ("packing", "piece"), [(b"gzip", gzip.compress(b"", mtime=0)), (b"zstd", zstd.compress(b""))], ids=["gzip", "zstd"]
)
def test_pieces_with_nothing_in_them_are_counted(packing: bytes, piece: bytes) -> None:
    assert unpack(piece * MOST_MEMBERS, packing, 0) == b""
    with pytest.raises(Malformed, match="too many pieces"):
        unpack(piece * (MOST_MEMBERS + 1), packing, 0)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(list(PACKED)), st.integers(0, 2000), st.binary(max_size=4))
def test_damaged_bodies_are_refused_or_unpacked_within_the_bound(name: str, place: int, other: bytes) -> None:
    packing, body = PACKED[name]
    place %= len(body)
    damaged = body[:place] + other + body[place + len(other) :]
    try:
        plain = unpack(damaged, packing, len(BODY))
    except Invalid:
        return
    assert len(plain) <= len(BODY)
