"""From a table to predictions with both clients, against a whole platform."""

import asyncio
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.platform import DATA, RunningPlatform
from modelyard.core.errors import Conflict, Invalid, NotFound, TimedOut
from modelyard.features.catalogue.errors import BadParameters
from modelyard.features.jobs.errors import JobOver
from modelyard.sdk.client import AsyncClient, Client
from modelyard.sdk.errors import JobStopped
from modelyard.sdk.models import Version

TABLE = DATA / "titanic" / "train.csv"
INTENT = "predict who survived"
SLOW = {"max_rounds": 10_000, "learning_rate": 0.005, "patience": 1000}


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[Client]:
    with Client(platform.url, platform.key) as opened:
        yield opened


@pytest.fixture(scope="module")
def museum(platform: RunningPlatform) -> Iterator[Any]:
    """A build of this file's own, published."""
    with Client(platform.url, platform.key) as client:
        build = client.builds.create(INTENT, TABLE, "journey/titanic")
        with pytest.raises(Conflict, match="wait"):
            _ = build.version
        states = []
        build.wait(progress=lambda job: states.append((job.state, job.progress.fraction)))
        yield build, states, client.deployments.publish(build.version)


@pytest.fixture
def slow(client: Client, museum: Any, fresh: Any) -> Any:
    """A run that takes long, stopped at the end."""
    model = f"journey/{fresh('slow')}"
    run = client.train("journey-titanic", "tabular-classification/lightgbm", model, parameters=SLOW, target="survived")
    yield run
    if not run.job.refresh().ended:
        run.stop()


def test_a_build_says_its_plan_at_once_and_ends_in_a_version(museum):
    build, states, _ = museum
    assert (build.plan.target, build.plan.scenario) == ("survived", "tabular-classification")
    assert all(reason.because for reason in build.plan.reasons)
    fractions = [fraction for _, fraction in states]
    assert fractions == sorted(fractions)
    assert states[-1] == ("succeeded", 1.0)
    version = build.version
    assert isinstance(version, Version)
    assert version.path == "journey/titanic/v1"
    metric = version.verdict.headline
    assert metric.lower <= metric.value <= metric.upper
    assert version.metrics[metric.name] == metric


def test_the_endpoint_predicts_rows_and_files_alike(museum, tmp_path, client):
    _, _, endpoint = museum
    with (DATA / "titanic" / "test.csv").open() as file:
        head = [line for line, _ in zip(csv.reader(file), range(6), strict=False)]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(head)
    from_file = endpoint.predict(path)
    assert (len(from_file), from_file.model, from_file.version) == (5, "journey/titanic", "v1")
    signature = {field["name"]: field["kind"] for field in client.models.version("journey/titanic").signature["inputs"]}
    read = {"integer": int, "number": float}
    rows = [
        {name: read.get(signature[name], str)(value) if value else None
         for name, value in zip(head[0], line, strict=True) if name in signature}
        for line in head[1:]
    ]  # fmt: skip
    assert endpoint.predict(rows) == from_file
    assert client.predict("journey/titanic/v1", rows[0]) == from_file[:1]
    assert endpoint.url.endswith("/models/journey/titanic/")


def test_a_wrong_row_of_a_later_part_is_named_by_its_place_in_the_whole(museum, monkeypatch, client):
    monkeypatch.setattr("modelyard.sdk.predictions.ROWS_AT_ONCE", 2)
    example = client.models.version("journey/titanic").signature["example"]
    with pytest.raises(Invalid) as caught:
        client.predict("journey/titanic", [example, example, example, {**example, "age": "old"}])
    assert (caught.value.fields[0]["field"], caught.value.fields[0]["row"]) == ("age", 3)


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(NotFound, match="nothing/here"):
        client.predict("nothing/here", {"a": 1})


def test_the_same_data_builds_again_without_an_upload(museum, client):
    again = client.builds.create(INTENT, TABLE, "journey/titanic")
    again.stop()
    assert client.datasets.get("journey-titanic").latest_release == 1
    assert again.data.release == museum[0].data.release


def test_a_build_on_a_dataset_of_the_platform(museum, client, fresh):
    build = client.builds.create(INTENT, "journey-titanic@1", f"journey/{fresh('from-dataset')}")
    assert build.data.release == museum[0].data.release
    build.stop()
    with pytest.raises(JobStopped):
        build.wait()
    with pytest.raises(NotFound, match="no file"):
        client.builds.create(INTENT, "missing.csv", "journey/none")
    with pytest.raises(NotFound, match="no dataset"):
        client.builds.create(INTENT, "missing", "journey/none")


def test_waiting_has_an_end_and_the_job_goes_on(slow):
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="goes on"):
        slow.wait(timeout=0.3)
    assert time.monotonic() - begun < 5
    assert not slow.job.refresh().ended


def test_a_stopped_job_tells_whoever_waits(slow, client):
    slow.stop()
    with pytest.raises(JobStopped, match="stopped"):
        slow.wait(timeout=30)
    with pytest.raises(JobOver):
        slow.stop()
    assert client.runs.get(slow.id).data.job.state == "stopped"


def test_a_wrong_parameter_is_named_before_anything_runs(museum, client):
    with pytest.raises(BadParameters) as caught:
        client.train("journey-titanic", "tabular-classification/lightgbm", "journey/x", parameters={"nope": 1})
    assert caught.value.fields[0]["field"] == "nope"


def test_a_log_is_read_whole_followed_and_taken_up_again(museum, platform, client):
    from sdk.conftest import Way

    job = museum[0].job
    whole = list(job.logs())
    assert [line.sequence for line in whole] == sorted({line.sequence for line in whole})
    assert list(job.logs(follow=True)) == whole
    assert list(job.logs(after=whole[2].sequence)) == whole[3:]
    way = Way(platform.url)
    with Client(way.url, platform.key) as over:
        way.faults = ["cut", "refuse", "cut"]
        assert list(over.jobs.logs(job.id, follow=True)) == whole
    way.close()
    assert b"last-event-id" in way.requests[-1].lower()
    assert [point.sequence for point in client.jobs.metrics(job.id)] == sorted(
        point.sequence for point in client.jobs.metrics(job.id)
    )


def test_a_running_job_s_lines_come_while_it_runs(slow):
    for line in slow.job.logs(follow=True):
        assert line.line
        break
    assert not slow.job.refresh().ended


def test_versions_are_staged_compared_and_downloaded(museum, client, tmp_path):
    run = client.train("journey-titanic", "tabular-classification/linear", "journey/titanic", target="survived").wait()
    second = run.version
    assert second.number >= 2
    rows = client.models.compare("journey/titanic/v1", second.path)
    assert {row["metric"] for row in rows} == set(second.metrics)
    assert all(row["difference"] == row[second.path] - row["journey/titanic/v1"] for row in rows)
    assert second.set_stage("staging").stage == "staging"
    assert client.models.version("journey/titanic/staging").path == second.path
    assert client.models.get("journey/titanic").staging_version == second.number
    assert second.download(tmp_path).stat().st_size > 1000
    with pytest.raises(Conflict, match="in use"):
        client.models.delete("journey/titanic/v1")
    second.delete()
    assert second.number not in [version.number for version in client.models.versions("journey/titanic")]


def test_a_deployment_s_life(museum, client, fresh):
    key = fresh("life")
    made = client.deployments.create(key, models=["journey/titanic/v1"]).wait()
    assert (made.state, made.ready_replicas) == ("ready", 1)
    assert made.scale(2).wait().ready_replicas == 2
    assert made.stop().wait().state == "stopped"
    assert made.start().wait().state == "ready"
    made.stop().wait()
    assert client.deployments.publish("journey/titanic/v1", key=key).state == "ready"
    assert [revision.number for revision in client.deployments.revisions(key)][-1] == 1
    assert "scaled" in [event.kind for event in client.deployments.events(key)]
    made.delete()
    with pytest.raises(NotFound):
        client.deployments.get(key)


def test_the_asynchronous_client_goes_the_whole_way(platform, museum, fresh):
    model = f"journey/{fresh('awaited')}"

    async def go():
        async with AsyncClient(platform.url, platform.key) as client:
            build = await client.builds.create(INTENT, TABLE, model)
            seen = []

            async def follow():
                async for line in build.job.logs(follow=True):
                    seen.append(line)

            await asyncio.gather(follow(), build.wait())
            assert seen
            endpoint = await client.deployments.publish(build.version)
            found = await endpoint.predict(build.version.signature["example"])
            assert found.model == model
            await endpoint.delete()

    asyncio.run(go())


def test_a_region_shows_what_is_there(museum, platform):
    import modelyard

    region = modelyard.region(platform.url, platform.key)
    assert "journey" in [row["prefix"] for row in region.model_prefix_list]
    (row,) = [row for row in region.model_list if (row["prefix"], row["name"]) == ("journey", "titanic")]
    assert row["versions"] >= 1
    assert "journey/titanic/v1" in [row["models"] for row in region.model_deployment_list]
    region.close()


def test_what_a_path_s_table_is_derived_from(tmp_path: Path):
    from modelyard.sdk.builder import dataset_of, is_dataset

    assert dataset_of("sales/europe/churn") == "sales-europe-churn"
    assert is_dataset("churn")
    assert is_dataset("churn@12")
    assert not is_dataset(str(TABLE))
    assert not is_dataset(TABLE)
    for missing in ("churn.csv", "data/churn", "churn@two"):
        with pytest.raises(NotFound):
            is_dataset(missing)
