"""Headers are found from the lines, whichever system wrote them."""

import pytest

from modelyard.algorithms.log_clustering._header import detect

LOGS = {
    "date, time, level and class": [
        ("2022-05-04 10:11:12,345 INFO a.b.Server: ", "Started in 5 ms"),
        ("2022-05-04 10:11:13,345 WARN a.b.Client$Inner: ", "No answer: retry"),
    ],
    "syslog": [
        ("May  4 10:11:12 node7 gated[123]: ", "Refused a key"),
        ("May 14 10:11:13 node7 quota(soft_limit)[9]: ", "limit raised"),
        ("May 14 10:11:13 node7 mounter: ", "volume ready"),
    ],
    "brackets": [
        ("[Wed May 04 10:11:12 2022] [error] ", "[peer 10.2.3.4] gave no answer"),
        ("[Thu May 05 10:11:12 2022] [notice] ", "worker 5 ended"),
    ],
    "bars": [
        ("20220504-10:1:2:345|Sleep_Meter|7115|", "night begins"),
        ("20220504-10:1:3:15|Pulse_Meter|7115|", "beats = 5 of 6"),
    ],
    "dashes and nested brackets": [
        ("2022-05-04 10:11:12,345 - INFO  [Quorum[id=1]/10.0.0.7:99:Vote@17] - ", "waited: 30"),
        ("2022-05-04 10:11:12,345 - WARN  [Task(nr:1 of:-1)::Plan@23] - ", "Plan is late"),
    ],
    "seconds since 1970 and node names": [
        ("- 1651659072 2022.05.04 C14-B3 2022-05-04-10.11.12.675872 C14-B3 HW FABRIC INFO ", "lane trained again"),
        ("JOB 1651659073 2022.05.04 NONE 2022-05-04-10.11.13.675872 NONE HW JOB FATAL ", "image not loaded"),
    ],
    "named fields": [
        ("time=2022-05-04T10:11:12+02:00 level=info ", 'msg="paid" order=5'),
        ("time=2022-05-04T10:11:13+02:00 level=warn ", 'msg="late" order=6'),
    ],
    "ISO time": [
        ("2022-05-04T10:11:12.345Z ERROR [worker-1] shop.db - ", "Connected to x"),
        ("2022-05-04T10:11:13.345Z INFO [worker 22] shop.web - ", "done"),
    ],
    "phone": [
        ("05-04 10:11:12.345  1702  2395 D Torch: ", "beam is on"),
        ("05-04 10:11:13.345  1702 12395 V Compass: ", "north=true"),
    ],
    "no header": [("", "seat taken by bob"), ("", "5 errors in 3 s"), ("", "Error: disk full")],
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_what_follows_the_header_is_the_message(name: str) -> None:
    lines = LOGS[name] * 40
    pattern = detect([start + message for start, message in lines]).pattern()
    for start, message in lines:
        found = pattern.match(start + message) if pattern else None
        assert (start + message)[found.end() if found else 0 :] == message


def test_lines_that_begin_otherwise_are_all_message() -> None:
    lines = ["2022-05-04 10:11:12 INFO a.B: started"] * 95 + ["    at a.b.C.run(C.java:12)"] * 4
    pattern = detect(lines).pattern()
    assert pattern is not None
    assert pattern.match(lines[-1]) is None
    assert pattern.match(lines[0])


def test_empty_lines_and_no_lines_have_no_header() -> None:
    assert detect([]).pattern() is None
    assert detect(["", "  "]).pattern() is None
