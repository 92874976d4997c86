"""What can be uploaded, and that it is read piece by piece and again from its beginning."""

import hashlib
import io
import os

import pytest

from modelyard.core.errors import Invalid, NotFound, Unsupported
from modelyard.sdk.bodies import PIECE, body_of

CONTENT = b"a,b\n" + b"1,2\n" * 200_000


class Frame:
    """What a data frame looks like from outside."""

    columns = ("a", "b")

    def to_csv(self, *, index):
        assert index is False
        return "a,b\n1,2\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes(CONTENT)
    return file


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file", "memory"])
def test_every_source_gives_its_bytes_twice_and_their_size_and_digest(path, kind):
    with path.open("rb") as file:
        sources = {"path": path, "text": str(path), "bytes": CONTENT, "file": file, "memory": io.BytesIO(CONTENT)}
        body = body_of(sources[kind])
        assert body.repeatable
        assert body.size == len(CONTENT)
        assert body.sha256() == hashlib.sha256(CONTENT).hexdigest()
        assert b"".join(body.pieces()) == CONTENT
        assert b"".join(body.pieces()) == CONTENT
        assert max(map(len, body.pieces())) <= PIECE
        assert body.name == ("table.csv" if kind in {"path", "text", "file"} else "data.csv")
        assert not file.closed


def test_an_open_file_is_sent_from_where_it_stands(path):
    with path.open("rb") as file:
        file.seek(4)
        body = body_of(file)
        assert body.size == len(CONTENT) - 4
        assert b"".join(body.pieces()) == CONTENT[4:]


def test_a_pipe_can_be_sent_only_once():
    reader, writer = os.pipe()
    os.write(writer, b"a\n1\n")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        body = body_of(file, "piped.csv")
        assert (body.repeatable, body.size, body.name) == (False, None, "piped.csv")
        assert b"".join(body.pieces()) == b"a\n1\n"


def test_a_data_frame_is_sent_as_csv():
    assert b"".join(body_of(Frame()).pieces()) == b"a,b\n1,2\n"


def test_progress_goes_up_to_the_size(path):
    seen = []
    body = body_of(path)
    body.on_progress = lambda sent, size: seen.append((sent, size))
    list(body.pieces())
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) == -(-len(CONTENT) // PIECE)


def test_what_cannot_be_uploaded_is_refused(path, tmp_path):
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        body_of(tmp_path / "nothing.csv")
    with pytest.raises(Invalid, match="is a folder"):
        body_of(tmp_path)
    with pytest.raises(Unsupported, match="int"):
        body_of(3)
    with path.open() as file, pytest.raises(Unsupported, match="mode 'rb'"):
        body_of(file)
