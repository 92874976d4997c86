"""A trace that is valid by the W3C's rules goes on with this hop as the parent; any other ends here."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.gateways import GatewayProcess, Wire, request
from modelyard.gateway import tracing
from modelyard.gateway.proxy import request_headers
from modelyard.protocol.frames import TRACE_SIZE

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"
BYTES = bytes.fromhex(TRACE + PARENT)


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        (VALID, 1),
        (f"00-{TRACE}-{PARENT}-00", 0),
        (f"00-{TRACE}-{PARENT}-02", 2),  # Level 2: the trace id is random
        (f"00-{TRACE}-{PARENT}-03", 3),
        (f"00-{TRACE}-{PARENT}-ff", 3),  # what nobody knows goes on as 0
        (f"00-{TRACE}-{PARENT}-fc", 0),
        (f" \t{VALID}\t ", 1),
        (f"cc-{TRACE}-{PARENT}-01", 1),  # a future version: its beginning is read
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", 1),
        (f"01-{TRACE}-{PARENT}-01-", 1),
        (f"fe-{TRACE}-{PARENT}-09", 1),
    ],
)
def test_a_valid_header_is_read(sent: str, flags: int) -> None:
    assert tracing.parse(sent.encode()) == BYTES + bytes((flags,))


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "-",
        "00",
        VALID[:-1],
        VALID[1:],
        f"{VALID}-",
        f"{VALID}-more",
        f"{VALID}.",
        f"{VALID}0",
        VALID.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"FF-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"000-{TRACE}-{PARENT}-01",
        f".0-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01.what-the-future-will-not-be-like",
        f"cc-{TRACE}-{PARENT}-0",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"cc-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE[:-1]}.-{PARENT}-01",
        f"00-{TRACE[:-1]}G-{PARENT}-01",
        f"00-{TRACE}-{PARENT[:-1]}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT[:-1]}.-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE}-{PARENT}-.0",
        f"00-{TRACE}_{PARENT}-01",
        f"00 {TRACE} {PARENT} 01",
        f"{VALID}, {VALID}",
        f"{VALID}\n",
        f"cc-{TRACE}-{PARENT}-01-a\nb",
    ],
)
def test_an_invalid_header_is_no_trace(sent: str) -> None:
    assert tracing.parse(sent.encode()) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_it(sent: bytes) -> None:
    assert tracing.parse(sent) is None


@given(
    st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.integers(0, 3)
)
def test_what_is_written_is_read_again(trace_id: bytes, parent: bytes, flags: int) -> None:
    trace = trace_id + parent + bytes((flags,))
    written = tracing.header(trace)
    assert len(written) == 55
    assert tracing.parse(written) == trace


def test_a_child_has_a_parent_of_its_own() -> None:
    trace = BYTES + b"\x01"
    children = [tracing.child(trace) for _ in range(1000)]
    assert {(len(child), child[:16], child[24:]) for child in children} == {(TRACE_SIZE, BYTES[:16], b"\x01")}
    parents = {child[16:24] for child in children}
    assert len(parents) == 1000
    assert not parents & {bytes(8), BYTES[16:]}


def passed_on(*sent: tuple[str, str]) -> Sequence[tuple[str, str]]:
    """What of the trace the api gets, where the client sent these headers."""
    headers = [(b"host", b"x"), *((name.encode(), value.encode()) for name, value in sent)]
    scope: dict[str, Any] = {"headers": headers, "scheme": "http", "client": ("1.2.3.4", 5)}
    passed = request_headers(scope, b"id")
    return [(name.decode(), value.decode()) for name, value in passed if name.startswith(b"trace")]


def test_the_api_gets_the_trace_with_a_new_parent_and_the_state_as_it_is() -> None:
    before, (name, parent), after = passed_on(("tracestate", "a=1,b=2"), ("traceparent", VALID), ("tracestate", "c=3"))
    assert name == "traceparent"
    assert parent[:36] == VALID[:36]
    assert parent[-3:] == "-01"
    assert parent[36:52] != PARENT
    assert (before, after) == (("tracestate", "a=1,b=2"), ("tracestate", "c=3"))


@pytest.mark.parametrize(
    "sent",
    [
        [("traceparent", VALID.upper()), ("tracestate", "a=1")],
        [("tracestate", "a=1")],
        [("traceparent", VALID), ("traceparent", VALID), ("tracestate", "a=1")],
        [("traceparent", ""), ("tracestate", "a=1")],
        [("connection", "traceparent"), ("traceparent", VALID), ("tracestate", "a=1")],
    ],
    ids=["invalid", "none", "two", "empty", "of the hop"],
)
def test_without_one_valid_parent_no_trace_goes_on(sent: list[tuple[str, str]]) -> None:
    assert passed_on(*sent) == []


def test_a_proxied_request_takes_its_trace_along(gateway: GatewayProcess, shared: Any) -> None:
    httpx.get(f"{gateway.url}/api/v1/x", headers={"traceparent": VALID, "tracestate": "a=1"})
    headers = shared.api.seen[-1]["headers"]
    assert headers["traceparent"][:36] == VALID[:36]
    assert headers["traceparent"][36:52] != PARENT
    assert headers["tracestate"] == "a=1"
    wire = Wire(gateway.address)
    lines = ["traceparent: 00-nonsense", "tracestate: a=1"]
    assert wire.send(request(method="GET", path="/x", headers=lines)).answer().status == 200
    assert not {"traceparent", "tracestate"} & set(shared.api.seen[-1]["headers"])
    wire.close()
