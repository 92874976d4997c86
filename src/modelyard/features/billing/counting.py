"""From a journal's lines to counts: pure, and quick enough for all that gateways can answer."""

from typing import Annotated, NamedTuple

import msgspec

from modelyard.protocol.usage import UsageRecord

HOUR = 3600
LONGEST_NAME = 200

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]


class _Line(UsageRecord, frozen=True, array_like=True, gc=False):
    """A record whose numbers a database can hold; what a later release appends is passed over."""

    at: Annotated[float, msgspec.Meta(ge=0, lt=1e11)]
    version: Number
    status: Number
    rows: Count
    bytes_in: Count
    bytes_out: Count
    micros: Count


_decoder = msgspec.json.Decoder(_Line)


class Place(NamedTuple):
    """What is counted together. `hour` is Unix time in hours."""

    hour: int
    caller: str
    prefix: str
    model: str
    version: int
    status: int


class Counts(NamedTuple):
    """Sums over calls."""

    requests: int
    rows: int
    bytes_in: int
    bytes_out: int
    micros: int


class Counted(NamedTuple):
    """The counts of a piece of a journal, and how many of its lines could not be read."""

    totals: dict[Place, Counts]
    unreadable: int


def count(lines: bytes) -> Counted:
    """Count the records in `lines`. A line that is no record is left aside."""
    records, unreadable = _read(lines)
    found: dict[tuple[float, str, str, str, int, int], list[int]] = {}
    for record in records:
        place = (record.at // HOUR, record.caller, record.prefix, record.model, record.version, record.status)
        sums = found.get(place)
        if sums is None:
            found[place] = [1, record.rows, record.bytes_in, record.bytes_out, record.micros]
        else:
            sums[0] += 1
            sums[1] += record.rows
            sums[2] += record.bytes_in
            sums[3] += record.bytes_out
            sums[4] += record.micros
    totals: dict[Place, Counts] = {}
    for (hour, caller, prefix, model, version, status), sums in found.items():
        kept = Place(int(hour), _name(caller), _name(prefix), _name(model), version, status)
        before = totals.get(kept)
        totals[kept] = Counts(*(sums if before is None else map(sum, zip(before, sums, strict=True))))
    return Counted(totals, unreadable)


def _read(lines: bytes) -> tuple[list[_Line], int]:
    expected = lines.count(b"\n")
    try:
        records = _decoder.decode_lines(lines)
        # Two torn lines can make one record, if they are read as one.
        if len(records) == expected:
            return records, 0
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    records, unreadable = [], 0
    for line in lines.split(b"\n"):
        if not line:
            continue
        try:
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            unreadable += 1
    return records, unreadable


def _name(text: str) -> str:
    """A name as both databases can hold it."""
    return text.replace("\0", "")[:LONGEST_NAME]
