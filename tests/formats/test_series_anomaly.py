"""Series detectors as they are served: answers, options, and folders that are refused."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.errors import Broken
from modelyard.formats import folder
from modelyard.formats._anomaly_measures import Change, Profile, Residual
from modelyard.formats.anomaly import Judgement
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.formats.series_anomaly import (
    ARRAYS,
    FILE,
    Description,
    MomentAnomalies,
    Settings,
    fresh,
    judged,
    nothing,
    shortened,
)
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

FORM = Signature(
    scenario="anomaly-detection", inputs=(Field(name="at", kind="date"), Field(name="v", kind="number")), target="odd",
    time="at",
)  # fmt: skip
HISTORY = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
HOUR = 3_600_000_000
MEASURES = [Profile(4, 40), Residual(9, 3), Change(8, 20)]


@pytest.fixture
def version(tmp_path):
    settings = Settings("profile", window=4, history=200, silence=20)
    measure = settings.measure()
    known = fresh("", [0.0], [1.0], None, measure.levels)
    times = np.arange(300) * HOUR
    stored, tail = shortened(judged(measure, 20, known, nothing(1, measure.levels), times, HISTORY), 250)
    predictor = MomentAnomalies(FORM, Description(settings, (0,), Judgement(0.5, 0.0), (stored,)), [tail])
    folder.write(tmp_path / SIGNATURE, FORM)
    folder.write(tmp_path / DESCRIPTION, Artifact(format=predictor.save(tmp_path), scenario="any", algorithm="any"))
    return tmp_path


def rows(values, first=300):
    times = (np.arange(first, first + len(values)) * HOUR).astype("datetime64[us]").astype("datetime64[s]")
    return Batch(np.array([values], np.float32).T, times.astype(str).astype(object)[:, None])


def test_each_row_gets_an_entry_that_json_can_hold(version):
    predictor = open_version(version)
    entries = predictor.answer(rows([0.1, 30.0, 0.2]), predictor.Options())
    assert [entry["anomaly"] for entry in entries] == [False, True, False]
    assert all(set(entry) == {"anomaly", "score", "severity"} for entry in entries)
    assert msgspec.json.decode(msgspec.json.encode(entries)) == entries
    answers = predictor.predict(rows([0.1, 30.0, 0.2]))
    np.testing.assert_allclose([entry["score"] for entry in entries], answers[:, 0])


def test_a_request_may_choose_another_threshold(version):
    predictor = open_version(version)
    options = msgspec.convert({"threshold": 0.9999}, predictor.Options)
    assert not any(entry["anomaly"] for entry in predictor.answer(rows([0.1, 30.0]), options))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"treshold": 0.1}, predictor.Options)


def test_stored_history_is_the_context_of_rows_that_follow_on_it(version):
    predictor = open_version(version)
    assert predictor.predict(rows([30.0]))[0, 2] == 1
    assert predictor.predict(rows([30.0], first=-500))[0, 0] == 0


def test_rows_that_overlap_the_stored_history_have_what_lies_before_them_as_context(version):
    predictor = open_version(version)
    values = [*HISTORY[280:, 0].tolist(), 30.0]
    assert predictor.predict(rows(values, first=280))[-1, 2] == 1


def test_what_happened_since_is_context_from_then_on(version):
    """A request is answered as if it had begun with the rows that were taken in."""
    later, asked = rows([0.3, -0.2, 25.0, 0.1]), rows([24.0, 0.2], first=304)
    whole = open_version(version).predict(rows([0.3, -0.2, 25.0, 0.1, 24.0, 0.2]))
    grown = open_version(version).extended(later, version)
    for each in (grown, open_version(version)):
        np.testing.assert_allclose(each.predict(asked), whole[4:], atol=1e-6)
    # What was told before is not taken in twice.
    np.testing.assert_allclose(grown.extended(later, version).predict(asked), whole[4:], atol=1e-6)


@pytest.mark.parametrize("file", [FILE, ARRAYS])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(version, file, content):
    (version / file).write_bytes(content)
    with pytest.raises(Broken, match="Train the version again"):
        open_version(version)


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": (3,)},
        {"columns": ()},
        {"series": ()},
        {"settings": Settings("profile", window=0, history=200, silence=20)},
        {"settings": Settings("profile", window=64, history=200, silence=20)},
        {"settings": Settings("profile", window=10**9, history=200, silence=20)},
    ],
)
def test_a_description_that_does_not_fit_is_refused(version, changes):
    described = msgspec.json.decode((version / FILE).read_bytes(), type=Description)
    (version / FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(described, **changes)))
    with pytest.raises(Broken):
        open_version(version)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.kind)
@given(st.integers(0, 250), st.integers(0, 10_000))
def test_a_measure_looks_back_no_further_than_it_says(measure, start, seed):
    values = np.random.default_rng(seed).normal(size=(260, 2))
    whole = measure(values, 0)
    begin = max(0, start - measure.reach)
    np.testing.assert_allclose(measure(values[begin:], start - begin), whole[start:], rtol=1e-4, atol=1e-5)


@given(st.integers(2, 60), st.integers(0, 10_000))
def test_the_profile_is_the_distance_to_the_nearest_stretch_before(rows, seed):
    values = np.random.default_rng(seed).normal(size=(rows, 1))
    found = Profile(2, 20)(values, 0)
    for row in range(rows):
        for level, window in enumerate((1, 2)):
            here = values[row - window + 1 : row + 1]
            before = [
                np.linalg.norm(here - values[end - window + 1 : end + 1])
                for end in range(max(window - 1, row - 20), row - window + 1)
            ]
            if len(here) == window and before:
                np.testing.assert_allclose(found[row, level], min(before), rtol=1e-4, atol=1e-5)
            else:
                assert np.isnan(found[row, level])
