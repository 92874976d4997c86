"""`client.limits` against a real api."""

import asyncio

import httpx
import pytest

from modelyard.core.errors import Invalid, NotFound
from modelyard.sdk.client import AsyncClient, Client


def test_limits_are_set_listed_replaced_and_removed(client):
    key = client.keys.create("a program").id
    made = client.limits.set(prefix="sales/europe", requests=100, rows=1000)
    assert (made.kind, made.subject, made.requests, made.rows) == ("prefix", "sales/europe", 100, 1000)
    assert made.set_by == client.whoami().user
    client.limits.set(key=key, requests=0.1)
    assert [limit.subject for limit in client.limits.list()] == [key, "sales/europe"]
    assert client.limits.set(key=key, rows=5).requests is None
    client.limits.remove(key=key)
    client.limits.remove(prefix="sales/europe")
    assert client.limits.list() == []


def test_the_asynchronous_client_does_the_same(api_url, login):
    async def go():
        async with AsyncClient(api_url, login["api_key"]) as client:
            await client.limits.set(prefix="sales", rows=7)
            found = await client.limits.list()
            await client.limits.remove(prefix="sales")
            return found, await client.limits.list()

    found, left = asyncio.run(go())
    assert [(limit.subject, limit.rows) for limit in found] == [("sales", 7)]
    assert left == []


@pytest.mark.parametrize("subject", [{}, {"prefix": "sales", "key": "key_1"}, {"prefix": ""}])
def test_a_limit_is_of_one_thing(client, subject):
    with pytest.raises(Invalid):
        client.limits.set(**subject, requests=1)
    with pytest.raises(Invalid):
        client.limits.remove(**subject)


def test_what_does_not_fit_is_refused_by_field(client):
    with pytest.raises(Invalid, match="requests") as refused:
        client.limits.set(prefix="sales", requests=-1)
    assert refused.value.fields[0]["field"] == "requests"
    for prefix in ("Sales", "sales//europe", "../sales", "x" * 201):
        with pytest.raises(Invalid):
            client.limits.set(prefix=prefix, requests=1)
    with pytest.raises(Invalid, match="needs requests or rows"):
        client.limits.set(prefix="sales")


def test_what_is_not_there_is_not_found(client):
    for change in (lambda: client.limits.set(key="key_none", requests=1), lambda: client.limits.remove(key="key_none")):
        with pytest.raises(NotFound):
            change()


def test_a_narrowed_key_reaches_its_prefixes_only(client, api_url):
    client.limits.set(prefix="other", requests=1)
    client.limits.set(prefix="sales", requests=1)
    made = client.keys.create(prefixes=["sales"])
    with Client(api_url, made.key) as narrowed:
        assert [limit.subject for limit in narrowed.limits.list()] == ["sales"]
        with pytest.raises(NotFound):
            narrowed.limits.set(prefix="other", requests=2)


def test_a_nested_prefix_may_be_written_with_its_slashes(api_url, login):
    headers = {"x-api-key": login["api_key"]}
    with httpx.Client(base_url=f"{api_url}/api/v1/limits/prefixes", headers=headers) as http:
        assert http.put("/sales/europe", json={"rows": 1}).json()["subject"] == "sales/europe"
        assert http.delete("/sales%2Feurope").status_code == 204
        assert http.delete("/sales/europe").status_code == 404
