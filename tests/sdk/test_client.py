"""Both clients against a real api: who is calling, errors, tries, what a broken way does."""

import asyncio
import importlib
import inspect
import threading
from pathlib import Path

import pytest

import modelyard
from modelyard.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from modelyard.features.auth.errors import WrongLogin
from modelyard.features.datasets.errors import EmptyDataset, NameTaken
from modelyard.sdk.client import AsyncClient, Client
from modelyard.sdk.errors import ConnectionLost, NotModelyard, Unreachable
from modelyard.sdk.flow import AsyncCall, AsyncIterate, Call, Iterate, Operation, Resource


def test_a_key_says_who_is_calling(client):
    me = client.whoami()
    assert (me.username, me.role, me.read_only) == ("admin", "administrator", False)


def test_a_login_gives_the_client_a_token(api_url, login):
    with Client(api_url) as client:
        with pytest.raises(Unauthenticated):
            client.whoami()
        client.auth.login(login["username"], login["password"])
        assert client.whoami().api_key is None
        client.auth.refresh()
        assert client.whoami().username == "admin"


def test_a_wrong_password_raises_the_platform_s_own_class(api_url):
    with Client(api_url) as client, pytest.raises(WrongLogin) as caught:
        client.auth.login("admin", "not this one")
    assert caught.value.code == "wrong_login"
    assert caught.value.request_id.startswith("req_")


def test_errors_carry_their_fields_and_request_id(client):
    with pytest.raises(Invalid) as caught:
        client.datasets.create("no spaces allowed")
    assert caught.value.fields[0]["field"] == "name"
    assert caught.value.request_id
    with pytest.raises(NotFound, match="There is no dataset 'nowhere'"):
        client.datasets.get("nowhere")


def test_a_read_only_key_may_not_write(client, api_url):
    made = client.keys.create("reader", read_only=True)
    with Client(api_url, made.key) as reader:
        assert reader.whoami().read_only
        with pytest.raises(Forbidden, match="read-only"):
            reader.datasets.create("mine")


def test_a_key_s_life(client, api_url):
    made = client.keys.create("short", prefixes=["sales"])
    assert made.id in [key.id for key in client.keys.list()]
    with Client(api_url, made.key) as short:
        assert short.whoami().prefixes == ["sales"]
        client.keys.revoke(made.id)
        with pytest.raises(Unauthenticated, match="revoked"):
            short.whoami()


def test_a_dataset_s_life(client):
    made = client.datasets.create("churn", description="who left", target="Churn")
    assert (made.name, made.rows, made.latest_release) == ("churn", 0, None)
    assert made.data.target == "Churn"
    assert [dataset.name for dataset in client.datasets.list()] == ["churn"]
    with pytest.raises(NameTaken):
        client.datasets.create("churn")
    assert client.datasets.update("churn", description="who stayed").description == "who stayed"
    with pytest.raises(EmptyDataset):
        made.release()
    made.delete()
    with pytest.raises(NotFound):
        client.datasets.get(made.id)


def test_a_listing_goes_on_over_all_pages(client, monkeypatch):
    monkeypatch.setattr("modelyard.sdk.calls.PAGE", 3)
    for number in range(8):
        client.datasets.create(f"d{number}")
    assert [dataset.name for dataset in client.datasets.list()] == [f"d{number}" for number in reversed(range(8))]
    assert len(client.datasets.list(limit=4)) == 4


def test_the_asynchronous_client_does_the_same(api_url, login):
    async def use():
        async with AsyncClient(api_url, login["api_key"]) as client:
            assert (await client.whoami()).username == "admin"
            names = [f"a{number}" for number in range(5)]
            made = await asyncio.gather(*(client.datasets.create(name) for name in names))
            assert sorted(dataset.name for dataset in made) == names
            with pytest.raises(NameTaken):
                await client.datasets.create("a0")
            await made[0].delete()
            assert len(await client.datasets.list()) == 4
            with pytest.raises(NotFound):
                async for _ in client.jobs.logs("job_none"):
                    pass

    asyncio.run(use())


def test_an_asynchronous_call_can_be_cancelled(free_port, login):
    with_nobody = f"http://127.0.0.1:{free_port}"

    async def use():
        async with AsyncClient(with_nobody, login["api_key"], retries=1000) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.whoami(), 0.3)

    asyncio.run(use())


def test_threads_share_a_client(client):
    failures = []

    def use(number):
        try:
            assert client.datasets.create(f"t{number}").name == f"t{number}"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(client.datasets.list()) == 8


@pytest.mark.parametrize("fault", ["refuse", "busy", "cut"])
def test_reading_is_tried_again(over, way, fault):
    way.faults = [fault, fault]
    assert over.whoami().username == "admin"
    assert len(way.requests) == 3


def test_a_post_whose_answer_is_lost_happens_once(over, way, client):
    way.faults = ["lose", "cut"]
    made = over.datasets.create("once")
    assert [dataset.id for dataset in client.datasets.list()] == [made.id]
    keys = {line for request in way.requests for line in request.split(b"\r\n") if line.startswith(b"idempotency-key")}
    assert (len(way.requests), len(keys)) == (3, 1)


def test_a_key_s_secret_is_asked_for_once_and_kept_nowhere(over, way, client):
    way.faults = ["lose"]
    with pytest.raises(ConnectionLost):
        over.keys.create("lost")
    assert len(way.requests) == 1
    assert b"idempotency-key" not in way.requests[0].lower()
    assert [key.name for key in client.keys.list()].count("lost") == 1


def test_tries_have_an_end(way, login):
    with Client(way.url, login["api_key"], retries=2) as client:
        way.faults = ["busy"] * 10
        with pytest.raises(Unavailable, match="answered 503"):
            client.whoami()
    assert len(way.requests) == 3


def test_what_the_platform_refuses_is_not_tried_again(over, way):
    with pytest.raises(NotFound):
        over.datasets.get("nowhere")
    assert len(way.requests) == 1


def test_nobody_there_says_where_and_what_to_do(free_port):
    there = f"127.0.0.1:{free_port}"
    with Client(f"http://{there}", "my_key", retries=0) as client, pytest.raises(Unreachable) as caught:
        client.whoami()
    assert there in caught.value.message
    assert "modelyard up" in caught.value.message


def test_another_server_is_recognised(tmp_path, free_port):
    import subprocess
    import sys

    from fixtures.waiting import wait_until

    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(free_port), "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(f"http://127.0.0.1:{free_port}", "my_key", retries=0) as client:

            def answers():
                try:
                    client.whoami()
                except Unreachable:
                    return False
                except NotModelyard:
                    return True

            assert wait_until(answers, 20)
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "not a url", "http://[::1"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(Invalid, match="URL"):
        Client(url)


@pytest.mark.parametrize("name", ["..", "../../internal/health", "a/b", "%2e%2e", "x?y=1#z"])
def test_a_name_stays_a_name_in_the_path(client, name):
    with pytest.raises(NotFound, match=r"dataset|nothing at"):
        client.datasets.get(name)
    with pytest.raises(Invalid, match="empty"):
        client.datasets.get("")


def test_both_clients_have_the_same_operations(client, api_url, login):
    other = AsyncClient(api_url, login["api_key"])
    resources = [name for name, value in vars(client).items() if isinstance(value, Resource)]
    assert set(resources) >= {"datasets", "builds", "jobs", "models", "deployments", "keys", "auth"}
    for resource in resources:
        kind = type(getattr(client, resource))
        operations = [name for name, value in vars(kind).items() if isinstance(value, Operation)]
        for name in operations:
            assert inspect.signature(getattr(getattr(client, resource), name)) == inspect.signature(
                getattr(getattr(other, resource), name)
            )
            assert getattr(getattr(client, resource), name).__doc__
    asyncio.run(other.close())


def test_an_operation_knows_its_name_and_signature(client):
    assert client.datasets.create.__name__ == "create"
    assert list(inspect.signature(client.datasets.create).parameters) == [
        "name", "scenario", "description", "target", "roles",
    ]  # fmt: skip
    assert issubclass(AsyncCall, Call)
    assert issubclass(AsyncIterate, Iterate)


def test_the_package_offers_the_clients_lazily():
    assert modelyard.Client is Client
    assert modelyard.AsyncClient is AsyncClient
    assert "region" in dir(modelyard)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = modelyard.nonsense


def test_a_region_lists_in_its_own_words(api_url, login, client):
    client.deployments.create("development-model-deployment")
    region = modelyard.region(api_url, login["api_key"])
    assert region.model_prefix_list == []
    assert region.model_list == []
    (found,) = region.model_deployment_list
    assert (found["key"], found["worker_type"], found["scaling"]) == ("development-model-deployment", "small", 1)
    region.close()


def test_a_data_frame_needs_pandas_and_says_so(client):
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        with pytest.raises(Unavailable, match=r"pip install modelyard\[pandas\]"):
            client.datasets.list().to_pandas()
    else:
        client.datasets.create("one")
        frame = client.datasets.list().to_pandas()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame["name"]) == ["one"]


def test_the_client_loads_no_database_and_no_training_library():
    import subprocess
    import sys

    heavy = "sqlalchemy fastapi sklearn lightgbm onnx onnxruntime duckdb pandas obstore cryptography"
    code = f"import sys, modelyard; modelyard.Client; print([m for m in '{heavy}'.split() if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_conflicts_are_conflicts(client):
    client.deployments.create("here")
    with pytest.raises(Conflict) as caught:
        client.deployments.create("here")
    assert type(caught.value).__name__ == "KeyTaken"


def test_paths_are_not_written_half(client, tmp_path: Path):
    with pytest.raises(NotFound):
        client.models.download("sales/none", tmp_path)
    assert list(tmp_path.glob("*.part")) == []
