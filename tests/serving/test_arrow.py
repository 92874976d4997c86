"""Arrow streams: every type that callers send, and bytes that are no stream, held against what pyarrow reads."""

import io
import random
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc

from fixtures import forms
from modelyard.core.errors import Invalid, Malformed, ModelyardError, TooLarge, Unsupported
from modelyard.formats.base import Batch
from modelyard.formats.codec import Codec
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.forms.arrow.reader import ArrowReader
from modelyard.serving.forms.arrow.values import LARGEST_UNPACKED
from modelyard.serving.forms.arrow.writer import ArrowWriter
from modelyard.serving.forms.columns import MOST_CELLS, Columns

MOMENTS = [datetime(2020, 1, 2, 3, 4, 5, 678901), None, datetime(1969, 12, 31)]  # noqa: DTZ001
DAYS = [date(2020, 2, 29), None, date(1, 1, 1)]


def reader(**kinds: Any) -> tuple[Codec, ArrowReader]:
    """A reader for a model with these columns."""
    inputs = tuple(Field(name=name, kind=kind) for name, kind in kinds.items())
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=inputs))
    return codec, ArrowReader(codec, Columns(codec))


def read(body: bytes, **kinds: Any) -> Batch:
    codec, made = reader(**kinds)
    data = made.read(body).data
    return data if isinstance(data, Batch) else codec.batch(data)


def column(array: pa.Array, kind: str, repeat: int = 1, **how: Any) -> list[Any]:
    """What the model gets of a column `x`, whose rows are repeated so that many are read as few are."""
    table = pa.concat_tables([pa.table({"x": array})] * repeat)
    batch = read(forms.stream(table.combine_chunks(), **how), x=kind)
    got = (batch.numbers if kind in {"number", "integer", "boolean"} else batch.strings)[:, 0].tolist()
    got = [None if value != value else value for value in got]  # noqa: PLR0124 - NaN
    assert got == got[: len(array)] * repeat
    return got[: len(array)]


@pytest.mark.parametrize("repeat", [1, 10])
@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.uint8(),
        pa.uint16(),
        pa.uint32(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
    ],
)
def test_every_type_of_number_is_read(kind: pa.DataType, repeat: int) -> None:
    assert column(pa.array([0, 1, 100], kind), "number", repeat) == [0, 1, 100]
    assert column(pa.array([7, None, 100], kind), "integer", repeat) == [7, None, 100]


@pytest.mark.parametrize("repeat", [1, 10])
def test_half_precision_and_nothing_at_all_are_read(repeat: int) -> None:
    assert column(pa.array(np.array([0.5, -2, 65504], np.float16)), "number", repeat) == [0.5, -2, 65504]
    for kind in ("number", "integer", "boolean"):
        assert column(pa.nulls(3), kind, repeat) == [None] * 3
    assert column(pa.nulls(3), "text", repeat) == ["", "", ""]


@pytest.mark.parametrize("repeat", [1, 10])
def test_truths_are_read_from_bits(repeat: int) -> None:
    truths = [True, False, False, True, True, False, True, True, False]
    assert column(pa.array(truths), "boolean", repeat) == [float(truth) for truth in truths]
    assert column(pa.array([1, 0]), "boolean", repeat) == [1, 0]


@pytest.mark.parametrize("repeat", [1, 10])
@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view()]
    + [pa.dictionary(index, pa.string()) for index in (pa.int8(), pa.uint16(), pa.int64())],
)
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_every_type_of_string_is_read(kind: pa.DataType, repeat: int, compression: str | None) -> None:
    texts = ["pro", None, "", "ünï 🌍", "longer than the twelve bytes of a view", "pro"]
    wanted = [text or "" for text in texts]
    assert column(pa.array(texts, kind), "text", repeat, compression=compression) == wanted
    assert column(pa.array(texts[::5], kind), "category", repeat, chunk=1, compression=compression) == ["pro", "pro"]


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (pa.array(DAYS), ["2020-02-29", "", "0001-01-01"]),
        (pa.array(DAYS, pa.date64()), ["2020-02-29", "", "0001-01-01"]),
        (pa.array(MOMENTS, pa.timestamp("us")), ["2020-01-02T03:04:05.678901", "", "1969-12-31T00:00:00.000000"]),
        (pa.array([MOMENTS[2]], pa.timestamp("s")), ["1969-12-31T00:00:00"]),
        (pa.array([MOMENTS[2]], pa.timestamp("ms")), ["1969-12-31"]),
        (pa.array([1], pa.timestamp("ns", "Europe/Berlin")), ["1970-01-01T00:00:00.000000001+00:00"]),
        (pa.array(DAYS).dictionary_encode(), ["2020-02-29", "", "0001-01-01"]),
        (pa.array(["2020-02-29"]), ["2020-02-29"]),
    ],
)
def test_dates_and_times_become_the_text_that_a_date_is(array: pa.Array, wanted: list[str]) -> None:
    assert column(array, "date") == wanted
    for text in filter(None, wanted):
        datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("array", "kind", "row", "said"),
    [
        (pa.array([1.5, 2.0]), "integer", 0, "expected a whole number, got the number 1.5."),
        (pa.array([None, "7"]), "number", 1, 'got the string "7". Send it without quotes.'),
        (pa.array([1, None, 2]), "boolean", 2, "expected true or false, got the number 2."),
        (pa.array([True]), "number", 0, "expected a number, got true."),
        (pa.array([1.0, 1e39]), "number", 1, "the number is too large; the largest is 3.40282e+38."),
        (pa.array([float("-inf")]), "number", 0, "the number is too large; the largest is 3.40282e+38."),
        (pa.array(["a", "b\0"]), "text", 1, "the string holds a NUL character."),
        (pa.array([4]), "text", 0, "expected a string, got the number 4."),
        (pa.array(["soon"]), "date", 0, '2024-05-31T12:00:00Z, got the string "soon".'),
        (pa.array([date(2020, 1, 1)]), "text", 0, "the Arrow type date cannot be read as text."),
        (pa.array([None, MOMENTS[0]]), "number", 1, "the Arrow type timestamp cannot be read as number."),
        (pa.array([None, Decimal("1.5")]), "number", 1, "the Arrow type decimal cannot be read as number."),
        (pa.array([[1]]), "number", 0, "the Arrow type list cannot be read as number."),
        (pa.array([b"a"]), "text", 0, "the Arrow type binary cannot be read as text."),
        (pa.array([timedelta(1)]).dictionary_encode(), "number", 0, "the Arrow type duration cannot be"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 40])
def test_what_does_not_fit_is_named_by_field_and_row(
    array: pa.Array, kind: str, row: int, said: str, before: int
) -> None:
    array = pa.concat_arrays([pa.nulls(before, array.type), array])
    for chunk in (None, 7):
        with pytest.raises(Invalid) as caught:
            read(forms.stream(pa.table({"x": array}), chunk=chunk), x=kind)
        assert caught.value.status == 422
        found = caught.value.fields[0]
        assert (found["field"], found["row"]) == ("x", before + row)
        assert said in found["message"]


def test_columns_in_any_order_among_others_of_any_type_are_found() -> None:
    table = pa.table(
        {
            "list": pa.array([[1, 2], None, []]),
            "deep": pa.array([{"a": [{"b": "c"}], "d": 1}] * 3),
            "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
            "view": pa.array(["x" * 20, "y", None], pa.string_view()),
            "plan": pa.array(["a", "b" * 20, None], pa.string_view()),
            "union": pa.UnionArray.from_dense(
                pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["a"])]
            ),
            "runs": pa.RunEndEncodedArray.from_arrays([1, 3], ["a", "b"]),
            "fixed": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float64(), 2)),
            "words": pa.array([["a"], ["b"], ["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            "x": pa.array([1, 2, 3]),
            "bytes": pa.array([b"ab"] * 3, pa.binary(2)),
            "decimal": pa.array([Decimal("1.5")] * 3),
            "nothing": pa.nulls(3),
        }
    )
    for body in (forms.stream(table), forms.stream(table, chunk=1), forms.stream(table, compression="zstd")):
        batch = read(body, plan="category", x="number", nothing="integer")
        np.testing.assert_array_equal(batch.numbers, np.array([[1, np.nan], [2, np.nan], [3, np.nan]], np.float32))
        assert batch.strings.tolist() == [["a"], ["b" * 20], [""]]


def test_a_missing_column_is_named_and_one_sent_twice_too() -> None:
    table = pa.table({"Tenure": [1]})
    with pytest.raises(Invalid, match='Did you mean it by "Tenure"') as caught:
        read(forms.stream(table), tenure="number")
    assert caught.value.fields[0]["field"] == "tenure"
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(Invalid, match="more than once"):
        read(forms.stream(twice), x="number")
    assert read(forms.stream(twice.append_column("y", [[3]])), y="number").numbers.tolist() == [[3]]


def test_dictionaries_may_be_replaced_and_added_to() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    pieces = [["a", "b"], ["a", "b", "c"], ["a", "b", "c"], ["z", None]]
    for deltas in (False, True):
        sink = io.BytesIO()
        options = ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        with ipc.new_stream(sink, pa.schema([("x", kind)]), options=options) as writer:
            for piece in pieces:
                writer.write_table(pa.table({"x": pa.array(piece, kind)}))
        assert read(sink.getvalue(), x="text").strings[:, 0].tolist() == [
            text or "" for piece in pieces for text in piece
        ]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda body: b"", Malformed, "does not begin with a schema"),
        (lambda body: body[:-9], Malformed, "cut off"),
        (lambda body: body + body, Malformed, "follows the end"),
        (lambda body: body[8:], Malformed, "no whole Arrow stream"),
        (lambda body: b"ARROW1\0\0" + body, Malformed, "Send the stream format"),
        (lambda body: b"{}", Malformed, "no whole Arrow stream"),
        (lambda body: struct.pack("<iI", -1, 0), Malformed, "does not begin with a schema"),
        (lambda body: forms.stream(pa.table({"x": [1.0] * 5000}), compression="lz4"), Unsupported, "LZ4"),
        (lambda body: forms.stream(pa.table({"x": pa.array([], pa.float64())})), Invalid, "no rows"),
    ],
)  # fmt: skip
def test_what_is_no_whole_stream_is_refused(
    change: Callable[[bytes], bytes], error: type[ModelyardError], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(change(forms.stream(pa.table({"x": [1.0]}))), x="number")


def test_a_stream_without_its_end_is_whole_where_its_messages_are() -> None:
    assert read(forms.stream(pa.table({"x": [1.0]}))[:-8], x="number").rows == 1


def test_rows_that_take_no_bytes_are_counted_before_they_are_made() -> None:
    body = forms.stream(pa.table({"x": pa.nulls(100_000_000)}))
    assert len(body) < 1000
    with pytest.raises(TooLarge, match="more than"):
        read(body, x="number")
    words = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.nulls(100_000_000, pa.string()).slice(0, 1))
    assert read(forms.stream(pa.table({"x": words})), x="text").rows == 1


def test_compressed_columns_are_not_unpacked_beyond_a_bound() -> None:
    zeros = np.zeros(LARGEST_UNPACKED // 16 + 1)
    body = forms.stream(pa.table({"x": zeros, "y": zeros, "z": zeros}), compression="zstd")
    assert len(body) < LARGEST_UNPACKED // 100
    with pytest.raises(TooLarge, match="when unpacked"):
        read(body, x="number", y="number")
    assert read(body, z="number").rows == len(zeros)


def test_dictionaries_are_counted_too() -> None:
    kind = pa.dictionary(pa.int32(), pa.null())
    sink = io.BytesIO()
    words = pa.nulls(MOST_CELLS // 2 + 1)
    with ipc.new_stream(sink, pa.schema([("x", kind)])) as writer:
        for word in range(2):
            found = pa.DictionaryArray.from_arrays(pa.array([word], pa.int32()), words.slice(word))
            writer.write_table(pa.table({"x": found}))
    assert len(sink.getvalue()) < 2000
    with pytest.raises(TooLarge, match="words in its dictionaries"):
        read(sink.getvalue(), x="text")


def bodies() -> list[tuple[bytes, dict[str, str]]]:
    """Streams to be damaged, with the kinds of their columns."""
    table = {
        "whole": pa.array([1, 2, None, 4, 5], pa.int16()),
        "real": pa.array([1.5, None, 3.0, 4.0, float("nan")]),
        "flag": pa.array([True, None, False, True, True]),
        "text": pa.array(["a", None, "", "üñ", "long " * 4]),
        "view": pa.array(["a", None, "", "üñ", "long " * 4], pa.string_view()),
        "word": pa.array(["a", "b", None, "a", "c"]).dictionary_encode(),
        "day": pa.array([date(2020, 1, 1)] * 4 + [None]),
        "void": pa.nulls(5),
        "extra": pa.array([[1], [2, 3], None, [], [4]]),
    }
    kinds = dict(
        zip(table, ("integer", "number", "boolean", "text", "text", "category", "date", "number"), strict=False)
    )
    found: list[tuple[bytes, dict[str, str]]] = [
        (forms.stream(pa.table(table), chunk=2), kinds),
        (forms.stream(pa.table(table), chunk=3, compression="zstd"), kinds),
    ]
    for name, kind in kinds.items():
        found.append((forms.stream(pa.table({name: table[name]}), chunk=3), {name: kind}))
    return found


def damaged(dice: random.Random, body: bytes) -> bytes:
    """The body with a few bits, numbers or pieces changed."""
    raw = bytearray(body)
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        place = dice.randrange(len(raw) or 1)
        match dice.randrange(5):
            case 0:
                raw[place : place + 1] = bytes([dice.randrange(256)])
            case 1 if raw:
                raw[place % len(raw)] ^= 1 << dice.randrange(8)
            case 2:
                number = dice.choice([0, 1, 2, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20, 1 << 28])
                raw[place & ~3 : (place & ~3) + 4] = struct.pack("<I", number)
            case 3:
                number = dice.choice([0, 1, 8, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 8])
                raw[place & ~7 : (place & ~7) + 8] = struct.pack("<Q", number)
            case _:
                piece = raw[place : place + dice.choice([1, 4, 8, 64])]
                raw[place : place + (0 if dice.randrange(2) else len(piece))] = piece if dice.randrange(2) else b""
    return bytes(raw)


def as_pyarrow(body: bytes, kinds: dict[str, str]) -> dict[str, list[Any]] | None:
    """The columns as pyarrow reads them; None where it refuses them."""
    try:
        table = ipc.open_stream(body).read_all()
        table.validate(full=True)
        if any(table.schema.names.count(name) != 1 for name in kinds):
            return None
        return {name: table[name].to_pylist() for name in kinds}
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, ArithmeticError):
        return None


def as_sent(value: Any, kind: str) -> Any:
    """What a model gets of a value."""
    if kind in {"number", "integer", "boolean"}:
        return np.float32(np.nan if value is None else value)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value
    return value or ""


@pytest.mark.parametrize("seed", range(4))
def test_damaged_streams_are_refused_or_read_as_pyarrow_reads_them(seed: int) -> None:
    dice = random.Random(seed)
    made = [(body, kinds, *reader(**kinds)) for body, kinds in bodies()]
    compared = 0
    for _ in range(1500):
        whole, kinds, codec, ours = dice.choice(made)
        body = damaged(dice, whole)
        try:
            data = ours.read(body).data
        except Invalid:
            continue
        wanted = as_pyarrow(body, kinds)
        if wanted is None:
            continue
        compared += 1
        batch = data if isinstance(data, Batch) else codec.batch(data)
        names = [field.name for field in codec.reference.fields]
        for place, name in enumerate(names):
            kind = kinds[name]
            sent = [as_sent(value, kind) for value in wanted[name]]
            if kind in {"number", "integer", "boolean"}:
                np.testing.assert_array_equal(batch.numbers[:, place], np.array(sent, np.float32))
            else:
                got = batch.strings[:, place - batch.numbers.shape[1]].tolist()
                assert got == [value.isoformat() if isinstance(value, date) else value for value in sent]
    assert compared > 100


def writer(*classes: str) -> ArrowWriter:
    return ArrowWriter(Codec(Signature(scenario="tabular-regression", target="y", inputs=(), classes=classes)))


def test_an_answer_is_read_by_pyarrow() -> None:
    values = np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32)
    table = ipc.open_stream(writer("No", "Ünï").write(values)).read_all()
    table.validate(full=True)
    assert table.schema == pa.schema(
        [pa.field("prediction", pa.string(), nullable=False)]
        + [pa.field(f"probability{label}", pa.float64(), nullable=False) for label in ("", "_No", "_Ünï")]
    )
    assert table.to_pydict() == {
        "prediction": ["Ünï", "No", "No"],
        "probability": [0.75, 0.5, 1],
        "probability_No": [0.25, 0.5, 1],
        "probability_Ünï": [0.75, 0.5, 0],
    }


@pytest.mark.parametrize("rows", [1, 7, 8, 1000])
def test_a_number_is_answered_as_one_column(rows: int) -> None:
    values = np.arange(rows, dtype=np.float32).reshape(rows, 1) / 3
    table = ipc.open_stream(writer().write(values)).read_all()
    table.validate(full=True)
    assert table.to_pydict() == {"prediction": values[:, 0].tolist()}
