"""The api learns the load about once a second and of a sleeping deployment at once, and again after it was away."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.asgi import Served
from fixtures.waiting import wait_until
from modelyard.gateway import reporting
from modelyard.gateway.reporting import Reporter
from modelyard.gateway.upstream import Upstream
from modelyard.protocol.load import DeploymentLoad, LoadReport, VersionLoad

TOKEN = "secret"


class Api:
    """The two internal routes, on a unix socket, served by a thread; it can go away and come back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = 204
        self.reports: list[LoadReport] = []
        self.woken: list[str] = []
        self._served = Served(path, self)

    def start(self) -> "Api":
        self._served.start()
        return self

    def stop(self) -> None:
        self._served.stop()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        assert headers[b"x-modelyard-internal"] == TOKEN.encode()
        assert scope["method"] == "POST"
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event["more_body"]:
                break
        if self.status == 204:
            if scope["path"] == "/internal/load":
                assert headers[b"content-type"] == b"application/json"
                self.reports.append(msgspec.json.decode(body, type=LoadReport))
            else:
                assert scope["path"] == "/internal/wake"
                self.woken.append(scope["query_string"].decode())
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An api that is up."""
    made = Api(tmp_path / "api.sock").start()
    yield made
    made.stop()


class Load:
    """What the gateway has to report."""

    def __init__(self) -> None:
        self.requests = 0
        self.waiting = {"dep": 0}
        self.broken = False

    def build(self) -> LoadReport:
        if self.broken:
            raise LookupError("build")
        version = VersionLoad(
            model="sales/churn",
            version=1,
            deployment="dep",
            requests=self.requests,
            errors=0,
            rows=0,
            micros=0,
            buckets=(),
        )
        deployments = tuple(
            DeploymentLoad(key=key, in_flight=0, waiting=waiting, refused=0) for key, waiting in self.waiting.items()
        )
        return LoadReport(
            gateway="gateway-1", started_at=1.0, at=time.time(), versions=(version,), deployments=deployments
        )


def tell(api: Api, load: Load, story: Callable[[Reporter], Any]) -> None:
    """Run a reporter while `story`, in a thread, does what it does; `wake` is called in the loop's thread."""

    async def told() -> None:
        reporter = Reporter(Upstream(api.path), TOKEN, load.build)
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(reporter.run())
        wake = reporter.wake
        reporter.wake = lambda key: loop.call_soon_threadsafe(wake, key)  # type: ignore[method-assign, assignment]
        try:
            await asyncio.to_thread(story, reporter)
            assert not running.done()
        finally:
            running.cancel()

    asyncio.run(told())


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the gateway logged."""
    return [record.message for record in caplog.records if record.name == "modelyard.gateway"]


@pytest.fixture(autouse=True)
def _quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same story in less time."""
    for name in ("EVERY_SECONDS", "WAKE_AGAIN_SECONDS", "LONGEST_PAUSE"):
        monkeypatch.setattr(reporting, name, 0.05)


def test_what_changed_is_reported(api: Api) -> None:
    load = Load()

    def story(reporter: Reporter) -> None:
        for requests in (0, 5, 9):
            load.requests = requests
            wait_until(lambda requests=requests: api.reports and api.reports[-1].versions[0].requests == requests)

    tell(api, load, story)
    assert [report.versions[0].requests for report in api.reports] == [0, 5, 9]
    assert {report.gateway for report in api.reports} == {"gateway-1"}


def test_what_did_not_change_is_reported_now_and_then(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "UNCHANGED_SECONDS", 0.5)
    tell(api, Load(), lambda reporter: wait_until(lambda: len(api.reports) == 4))
    times = [report.at for report in api.reports]
    assert times[-1] - times[0] > 1.2


def test_an_api_that_was_away_is_told_how_it_stands_now(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    load = Load()

    def story(reporter: Reporter) -> None:
        wait_until(lambda: api.reports)
        api.stop()
        for _ in range(5):
            load.requests += 1
            time.sleep(0.1)
        api.start()
        wait_until(lambda: api.reports[-1].versions[0].requests == 5)

    tell(api, load, story)
    assert len(logged(caplog)) == 1, "the outage is told once"


def test_an_api_that_starts_later_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(tmp_path / "api.sock")

    def story(reporter: Reporter) -> None:
        time.sleep(0.2)
        api.start()
        wait_until(lambda: api.reports)

    try:
        tell(api, Load(), story)
    finally:
        api.stop()
    assert logged(caplog) == []


def test_a_refusal_is_told_once_and_tried_again(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.status = 500

    def story(reporter: Reporter) -> None:
        wait_until(lambda: logged(caplog))
        time.sleep(0.3)
        api.status = 204
        wait_until(lambda: api.reports)

    tell(api, Load(), story)
    assert logged(caplog) == ["The api answers 500 to /internal/load"]


def test_what_breaks_in_one_report_does_not_end_them(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    load = Load()
    load.broken = True

    def story(reporter: Reporter) -> None:
        wait_until(lambda: logged(caplog))
        load.broken = False
        wait_until(lambda: api.reports)

    tell(api, load, story)


def test_a_deployment_is_woken_once_however_many_wait(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "WAKE_AGAIN_SECONDS", 0.5)
    load = Load()

    def story(reporter: Reporter) -> None:
        load.waiting = {"dep a&b/ü": 100, "other": 1}
        for key in ("dep a&b/ü", "other"):
            for _ in range(100):
                reporter.wake(key)
        wait_until(lambda: len(api.woken) == 2)
        load.waiting = {}
        time.sleep(0.7)

    tell(api, load, story)
    assert sorted(api.woken) == ["deployment=dep%20a%26b%2F%C3%BC", "deployment=other"]


def test_a_deployment_is_woken_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "EVERY_SECONDS", 3600.0)

    def story(reporter: Reporter) -> None:
        reporter.wake("dep")
        wait_until(lambda: api.woken)

    tell(api, Load(), story)


def test_it_is_told_again_while_requests_wait_and_no_longer(api: Api) -> None:
    load = Load()

    def story(reporter: Reporter) -> None:
        load.waiting["dep"] = 1
        reporter.wake("dep")
        wait_until(lambda: len(api.woken) >= 3)
        load.waiting["dep"] = 0
        wait_until(lambda: not reporter._waking)
        count = len(api.woken)
        time.sleep(0.3)
        assert len(api.woken) == count
        reporter.wake("dep")
        wait_until(lambda: len(api.woken) == count + 1)

    tell(api, load, story)


def test_a_wake_up_outlasts_an_api_that_is_away(api: Api) -> None:
    load = Load()

    def story(reporter: Reporter) -> None:
        api.stop()
        load.waiting["dep"] = 1
        reporter.wake("dep")
        time.sleep(0.5)
        assert api.woken == []
        api.start()
        wait_until(lambda: api.woken)

    tell(api, load, story)


def test_nobody_is_told_for_requests_that_gave_up_waiting(api: Api) -> None:
    load = Load()

    def story(reporter: Reporter) -> None:
        api.stop()
        reporter.wake("dep")
        wait_until(lambda: "dep" in reporter._waking)
        wait_until(lambda: not reporter._waking)
        api.start()
        load.requests = 1
        wait_until(lambda: api.reports and api.reports[-1].versions[0].requests == 1)

    tell(api, load, story)
    assert api.woken == []
