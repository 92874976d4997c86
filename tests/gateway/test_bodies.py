"""What headers say of a body and its answer: form, preference, compression."""

import pytest

from modelyard.core.errors import Unsupported
from modelyard.gateway.bodies import accepted, content_of, pack, packing_of, unpack
from modelyard.protocol.frames import Content, exchange

JSON, CSV, ARROW = b"application/json", b"text/csv", b"application/vnd.apache.arrow.stream"
BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (None, Content.JSON),
        (JSON, Content.JSON),
        (b"Application/JSON; charset=UTF-8", Content.JSON),
        (b"text/json", Content.JSON),
        (b'text/csv ; charset="utf-8"; header=present', Content.CSV),
        (b"application/csv", Content.CSV),
        (ARROW, Content.ARROW),
        (b"application/VND.apache.arrow.stream", Content.ARROW),
    ],
)
def test_content_type_names_the_form_of_the_body_and_so_of_the_answer(kind: bytes | None, content: Content) -> None:
    headers = {} if kind is None else {b"content-type": kind}
    assert content_of(headers) == exchange(content, content)


@pytest.mark.parametrize("kind", [b"text/plain", b"", b"application/json; charset=latin-1", b"\xff", b"application/*"])
def test_other_kinds_of_content_are_415(kind: bytes) -> None:
    for _ in range(2):
        with pytest.raises(Unsupported):
            content_of({b"content-type": kind})


@pytest.mark.parametrize(
    ("body", "accept", "answer"),
    [
        (JSON, b"*/*", Content.JSON),
        (CSV, b"*/*", Content.CSV),
        (ARROW, b"*/*", Content.ARROW),
        (ARROW, BROWSER, Content.ARROW),
        (CSV, JSON, Content.JSON),
        (CSV, b"application/json, text/plain, */*", Content.JSON),
        (JSON, b"text/csv", Content.CSV),
        (JSON, b"text/*", Content.CSV),
        (JSON, b"Application/Csv", Content.CSV),
        (JSON, ARROW, Content.ARROW),
        (CSV, b"application/*", Content.JSON),
        (ARROW, b"application/*", Content.ARROW),
        (JSON, b"text/csv, application/json", Content.JSON),
        (CSV, b"text/csv, application/json", Content.CSV),
        (JSON, b"text/csv;q=0.9, application/json;q=0.8", Content.CSV),
        (JSON, b"text/csv; q=0.5, */*", Content.JSON),
        (CSV, b"text/csv; q=0.5, */*;q=1.000", Content.JSON),
        (CSV, b"text/csv;q=0, */*;q=0.1", Content.JSON),
        (CSV, b"text/csv;q=x, application/json;q=0.2", Content.JSON),
        (JSON, b"application/json;q=0", Content.JSON),
        (JSON, b"image/png", Content.JSON),
        (CSV, b"", Content.CSV),
        (CSV, b" , ;;q=1,", Content.CSV),
    ],
)
def test_accept_names_another_form_of_the_answer(body: bytes, accept: bytes, answer: Content) -> None:
    asked = {JSON: Content.JSON, CSV: Content.CSV, ARROW: Content.ARROW}[body]
    assert content_of({b"content-type": body, b"accept": accept}) == exchange(asked, answer)


@pytest.mark.parametrize(
    ("sent", "packing"),
    [
        (None, None),
        (b"", None),
        (b" Identity ", None),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b" deflate", b"deflate"),
        (b"zstd", b"zstd"),
    ],
)
def test_content_encoding_names_the_packing(sent: bytes | None, packing: bytes | None) -> None:
    assert packing_of({} if sent is None else {b"content-encoding": sent}) == packing


@pytest.mark.parametrize("sent", [b"br", b"gzip, gzip", b"compress", b"\xff"])
def test_other_packings_are_415(sent: bytes) -> None:
    with pytest.raises(Unsupported, match="Use zstd, gzip or deflate"):
        packing_of({b"content-encoding": sent})


@pytest.mark.parametrize(
    ("sent", "coding"),
    [
        (None, None),
        (b"", None),
        (b"identity", None),
        (b"br", None),
        (b"gzip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate", b"gzip"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"GZip;Q=0.5, Deflate;q=0.6", b"deflate"),
        (b"gzip;q=1.0, zstd;q=0.9", b"gzip"),
        (b"gzip;q=0", None),
        (b"*", b"zstd"),
        (b"zstd;q=0, *", b"gzip"),
        (b"*;q=0", None),
        (b"*;q=0, deflate;q=0.001", b"deflate"),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=0.5", b"gzip"),
        (b"identity;q=0", None),
        (b"gzip;q=2, deflate;q=0.1", b"deflate"),
        (b"gzip;q=0.1234", None),
    ],
)
def test_accept_encoding_chooses_the_packing_of_the_answer(sent: bytes | None, coding: bytes | None) -> None:
    assert accepted({} if sent is None else {b"accept-encoding": sent}) == coding


@pytest.mark.parametrize("coding", [b"zstd", b"gzip", b"deflate"])
def test_what_is_packed_for_a_client_is_what_it_unpacks(coding: bytes) -> None:
    assert unpack(pack(b"answer", coding), coding, 6) == b"answer"
