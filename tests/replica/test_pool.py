"""A version that holds code, asked in processes that are shut in: right answers, clear errors, and nobody else hurt."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.replicas import Written, publish_code
from fixtures.serving import ROW, answer_of
from fixtures.waiting import wait_until
from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, TrainingData
from modelyard.core.errors import Broken, Invalid, TimedOut, Unavailable
from modelyard.core.settings import Settings
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import open_version
from modelyard.protocol.processes import Limits
from modelyard.protocol.signature import Field, Signature
from modelyard.replica.pool import Pool, Wording, share
from modelyard.sandbox import processes
from modelyard.sandbox.choose import choose
from modelyard.serving.folders import fetch, release
from modelyard.storage.objects.opened import open_store

MIB = 1 << 20
LIMITS = Limits(cpus=1, memory=1024 * MIB)
CORES = len(os.sched_getaffinity(0))
GOOD = Batch(np.array([[1.5, 2, 1]], np.float32), np.array([["pro"]], object))
BAD = Batch(np.array([[1.5, 13, 1]], np.float32), np.array([["pro"]], object))
YES = answer_of(ROW, 1)["probabilities"]["Yes"]

Start = Callable[..., Pool]


def shut_in(root: int | None = None) -> set[int]:
    """The processes that are shut in below this one, or another."""
    found = set()
    for pid in processes.tree(root or os.getpid()):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"modelyard.replica.child" in line and b"python" in line[0].rsplit(b"/", 1)[-1]:
            found.add(pid)
    return found


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Starts pools; at the end of the test they are closed, and nothing of them is left."""
    pools: list[Pool] = []
    cache = settings.data / "cache" / "versions"

    def begin(
        predictor: Predictor | None = None, *, misdeed: str = "pass", limits: Limits = LIMITS, **more: Any
    ) -> Pool:
        of_pool = {name: more.pop(name) for name in ("call_seconds",) if name in more}
        version = publish_code(settings, predictor, misdeed=misdeed, **more)
        folder = fetch(version, open_store(settings.objects_url), cache)
        sandbox = choose(settings).sandbox
        pools.append(Pool(folder, label="sales/code/v1", limits=limits, sandbox=sandbox, **of_pool))
        return pools[-1]

    yield begin
    for pool in pools:
        pool.close()
    for folder in cache.iterdir():
        release(folder)
    wait_until(lambda: not shut_in())


def answers_rightly(pool: Pool) -> bool:
    return bool(np.allclose(pool.predict(GOOD), [[1 - YES, YES]]))


def test_it_answers_in_as_many_processes_as_the_environment_has_cores(start: Start) -> None:
    pool = start(limits=Limits(cpus=1.5, memory=1024 * MIB))
    assert answers_rightly(pool)
    assert pool.parallel == len(shut_in()) == min(2, CORES)


class Quiet(Report):
    """Nobody listens."""

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None:
        pass

    def metric(self, name: str, step: int, value: float) -> None:
        pass

    def log(self, line: str) -> None:
        pass


@pytest.mark.parametrize("algorithm", ["tabular-regression/lightgbm", "tabular-regression/linear"])
def test_a_trained_pipeline_answers_as_it_does_in_this_process(
    start: Start, settings: Settings, algorithm: str
) -> None:
    random = np.random.default_rng(1)
    fields = (Field(name="x", kind="number"), Field(name="plan", kind="category"))
    plans = random.choice(["basic", "pro", "grün\n", ""], 400).astype(object)
    rows = Batch(random.random((400, 1)).astype(np.float32), plans.reshape(-1, 1))
    labels = rows.numbers[:, 0] + (plans == "pro")
    signature = Signature(scenario="tabular-regression", inputs=fields, target="churn")
    data = TrainingData(
        signature=signature, rows=rows, labels=labels, validation=rows, validation_labels=labels, seed=1
    )
    made = registry.get(algorithm)
    trained = made().fit(data, made.Parameters(), Quiet())
    pool = start(
        trained, scenario="tabular-regression", inputs=fields, classes=(), example={}, example_answer={}
    )  # fmt: skip
    here = open_version(settings.data / "made" / "code-1-0")
    assert np.array_equal(pool.predict(rows), here.predict(rows))
    assert np.allclose(pool.predict(rows), trained.predict(rows))
    assert np.ptp(pool.predict(rows)) > 1


def test_several_calls_are_under_way_at_once(start: Start) -> None:
    pool = start(misdeed="time.sleep(0.5)", limits=Limits(cpus=2, memory=1024 * MIB))
    if pool.parallel < 2:
        pytest.skip("this machine has one core")
    began = time.monotonic()
    pool.predict(BAD)
    alone, began = time.monotonic() - began, time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(pool.predict, [BAD, BAD]))
    assert time.monotonic() - began < 1.8 * alone


@pytest.mark.parametrize(
    ("misdeed", "words"),
    [
        ("os._exit(7)", "died on this request with exit code 7"),
        ("os.kill(os.getpid(), 9)", "died on this request by signal 9"),
        ("kept = []\n            while True: kept.append(b'x' * (8 << 20))", "it used more than 384 MiB of memory"),
        ("os.write(3, b'x' * 64); time.sleep(60)", "answered nonsense to this request"),
        ("return np.ones((1, 3))", "answered nonsense to this request: it answered 1 x 3 where 1 x 2 belong"),
    ],
)
def test_a_request_that_ends_its_process_is_told_so_and_the_next_is_answered(
    start: Start, misdeed: str, words: str
) -> None:
    pool = start(misdeed=misdeed, limits=Limits(cpus=1, memory=512 * MIB))
    before = shut_in()
    with pytest.raises(Broken, match=words):
        pool.predict(BAD)
    assert answers_rightly(pool)
    assert not shut_in() & before


def test_a_model_that_raises_keeps_its_process_and_the_log_says_what_it_raised(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(misdeed="raise KeyError('no such\\nplan')")
    before = shut_in()
    with pytest.raises(Broken, match="The model failed on this request"):
        pool.predict(BAD)
    assert answers_rightly(pool)
    assert shut_in() == before
    assert "failed on a request: KeyError: 'no such\\nplan'" in caplog.text


def test_a_model_that_never_answers_is_ended_in_time(start: Start) -> None:
    pool = start(misdeed="time.sleep(1000)", call_seconds=0.5)
    with pytest.raises(TimedOut, match=r"longer than 0\.5 s"):
        pool.predict(BAD)
    wait_until(lambda: _eventually_right(pool))


def test_a_process_that_is_stopped_is_given_up(start: Start) -> None:
    pool = start(call_seconds=1.0)
    (pid,) = shut_in()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimedOut):
        pool.predict(GOOD)
    wait_until(lambda: _eventually_right(pool))
    assert pid not in shut_in()


def _eventually_right(pool: Pool) -> bool:
    try:
        return answers_rightly(pool)
    except TimedOut:
        return False


def test_an_idle_process_that_is_killed_costs_no_request(start: Start) -> None:
    pool = start()
    for _ in range(3):
        before = shut_in()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        # Its socket is closed a moment before it is gone altogether.
        wait_until(lambda before=before: not any(Path(f"/proc/{pid}").exists() for pid in before))
        assert answers_rightly(pool)


def test_a_process_that_talks_without_being_asked_is_not_asked_again(start: Start) -> None:
    later = "import threading; threading.Timer(0.1, os.write, (3, b'x' * 64)).start()"
    pool = start(misdeed=later)
    (before,) = shut_in()
    assert np.allclose(pool.predict(BAD).sum(), 1)
    wait_until(lambda: answers_rightly(pool) and before not in shut_in())


def test_a_model_that_always_dies_is_rested_and_its_callers_are_told_at_once(start: Start) -> None:
    pool = start(misdeed="os._exit(1)")
    said: list[Exception] = []

    def ask() -> bool:
        try:
            pool.predict(BAD)
        except (Broken, Unavailable) as error:
            said.append(error)
        return isinstance(said[-1], Unavailable)

    wait_until(ask, 30)
    assert "keep failing" in str(said[-1])
    assert isinstance(said[-1], Unavailable)
    assert said[-1].retry_after
    assert isinstance(said[0], Broken)

    def recovers() -> bool:
        try:
            return answers_rightly(pool)
        except Unavailable:
            return False

    wait_until(recovers, 30)


FAILS_TO_LOAD = [
    (Written("raise ValueError('no such thing')"), r"model/predictor\.pickle cannot be loaded: no such thing"),
    (Written("Model = dict"), "holds no predictor"),
    (Written("import os; os._exit(5)"), "its process ended while it started with exit code 5"),
    (Written("import os; os.write(3, b'y' * 64); Model = dict"), "did not say that it is ready"),
    (Written("kept = []\nwhile True: kept.append(b'x' * (8 << 20))"), "it used more than .* of memory"),
]


@pytest.mark.parametrize(("predictor", "words"), FAILS_TO_LOAD)
def test_a_version_that_cannot_be_loaded_is_refused_with_the_reason(
    start: Start, predictor: Predictor, words: str
) -> None:
    with pytest.raises(Broken, match=words):
        start(predictor, limits=Limits(cpus=2, memory=512 * MIB))
    wait_until(lambda: not shut_in())


def test_the_environment_is_shared_by_its_processes() -> None:
    assert share(Limits(cpus=2, memory=4096 * MIB), 2) == Limits(memory=1920 * MIB, processes=64)
    assert share(Limits(memory=400 * MIB, processes=9), 1) == Limits(memory=300 * MIB, processes=9)
    assert share(Limits(), 4).memory is None


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


def test_it_reaches_no_network(start: Start, listener: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    port = listener.getsockname()[1]
    pool = start(misdeed=f"socket.create_connection(('127.0.0.1', {port}), 5)")
    with pytest.raises(Broken):
        pool.predict(BAD)
    assert "failed on a request: OSError" in caplog.text
    with pytest.raises(BlockingIOError):
        listener.accept()


FORBIDDEN = {
    "open('/etc/shadow').read()": "FileNotFoundError",
    "open('{data}/secret').read()": "FileNotFoundError",
    "open('{data}/planted', 'w').write('x')": "FileNotFoundError",
    "open('/version/model.json', 'a').write('x')": "OSError|PermissionError",
    "open('/usr/planted', 'w').write('x')": "OSError|PermissionError",
    "open(os.path.join(os.path.dirname(np.__file__), 'planted'), 'w').write('x')": "OSError|PermissionError",
    "open('/job/large', 'wb').write(bytes(100 << 20))": "OSError",
    "[time.sleep(1000) for _ in range(200) if os.fork() == 0]": "BlockingIOError",
}


@pytest.mark.parametrize(("misdeed", "refusal"), FORBIDDEN.items())
def test_it_reaches_nothing_of_this_machine(
    start: Start, settings: Settings, caplog: pytest.LogCaptureFixture, misdeed: str, refusal: str
) -> None:
    settings.data.mkdir(exist_ok=True)
    (settings.data / "secret").write_text("secret")
    pool = start(misdeed=misdeed.format(data=settings.data))
    with caplog.at_level(logging.ERROR), pytest.raises(Broken, match="The model failed on this request"):
        pool.predict(BAD)
    assert any(f"failed on a request: {word}" in caplog.text for word in refusal.split("|")), caplog.text
    assert answers_rightly(pool)
    assert not (settings.data / "planted").exists()


def test_what_it_prints_is_logged_without_control_characters_and_not_without_end(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="modelyard.replica")
    pool = start(misdeed="print('\\x1b[2Jred'); [print('line', n) for n in range(5000)]; sys.stdout.flush()")
    pool.predict(BAD)
    wait_until(lambda: "line 100" in caplog.text)
    assert "sales/code/v1 printed: [2Jred" in caplog.messages
    assert sum("printed: line" in message for message in caplog.messages) < 1000


def test_what_waits_when_it_is_closed_is_told(start: Start) -> None:
    pool = start(misdeed="time.sleep(1000)")
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(pool.predict, BAD) for _ in range(2)]
        wait_until(lambda: threading.active_count() > 2 and not pool._free)
        pool.close()
        assert all(isinstance(one.exception(20), Broken | Unavailable) for one in asked)
    pool.close()


TOGETHER = """
import msgspec
import numpy as np
from modelyard.core.errors import Invalid
from modelyard.formats.base import RequestPredictor

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plus: float = 0.0

class Model(RequestPredictor):
    Options = Options
    def predict(self, batch):
        return batch.numbers[:, :1]
    def answer(self, batch, options):
        if batch.rows == 7:
            return [{"total": float("nan")}]
        if batch.rows == 8:
            return [{"total": 1.0}, {"other": 1.0}]
        if batch.rows == 9:
            raise Invalid("Nine rows are one too many.")
        texts = batch.strings.ravel().tolist()
        total, width = float(np.nansum(batch.numbers)) + options.plus, batch.strings.shape[1]
        return [{"total": total, "texts": texts, "width": width}]
"""


def some(rows: int) -> Batch:
    return Batch(np.ones((rows, 3), np.float32), np.full((rows, 1), "ü", object))


def test_a_version_may_word_its_own_answers(start: Start) -> None:
    pool = start(Written(TOGETHER), scenario="log-clustering", classes=(), example={}, example_answer={})
    assert pool.words
    held = Wording(pool)
    assert held.answer(some(2), {"plus": 1}) == [{"total": 7.0, "texts": ["ü", "ü"], "width": 1}]
    assert held.answer(some(0), {}) == [{"total": 0.0, "texts": [], "width": 1}]
    assert held.predict(some(2)).tolist() == [[1], [1]]
    for rows, options, said in (
        (9, {}, "one too many"),
        (1, {"minus": 1}, "there is no such option. Choose from plus"),
    ):
        with pytest.raises(Invalid, match=said):
            held.answer(some(rows), options)
    for rows in (7, 8):
        with pytest.raises(Broken):
            held.answer(some(rows), {})
        wait_until(lambda: len(shut_in()) == pool.parallel, 30)
    assert held.answer(some(1), {})[0]["total"] == 3


def test_a_version_that_answers_row_by_row_does_not(start: Start) -> None:
    assert not start().words
