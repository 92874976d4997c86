"""Usage in the client."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.usage import NOON, lines, record
from modelyard.core.errors import Invalid
from modelyard.features.billing.ingest import ingest
from modelyard.sdk import usage as module
from modelyard.sdk.client import AsyncClient

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def called(platform_parts):
    """Three calls of two models in two hours."""
    journal = lines(record(1), record(2, model="upsell"), record(4, at=NOON + 3600))
    ingest(platform_parts.database, "j", 0, journal)


@pytest.mark.usefixtures("called")
def test_totals_are_typed_and_summed(client):
    found = client.usage.totals()
    assert [(total.model, total.requests, total.rows) for total in found] == [
        ("sales/churn", 2, 5), ("sales/upsell", 1, 2),
    ]  # fmt: skip
    assert (found.overall.requests, found.overall.micros) == (3, 900)


@pytest.mark.usefixtures("called")
def test_totals_can_be_narrowed(client):
    assert client.usage.totals(["hour", "model"], model="sales/upsell")[0].hour == NOW
    assert client.usage.totals("hour", since=NOW + timedelta(hours=1)).overall.rows == 4
    assert client.usage.totals("hour", until=NOW + timedelta(hours=1)).overall.rows == 3
    assert client.usage.totals("hour", prefix="other").overall.requests == 0
    assert client.usage.totals("hour", key="key_1").overall.requests == 3
    assert client.usage.totals("hour", since=datetime.now(UTC) - NOW + timedelta(days=1)).overall.requests == 3


@pytest.mark.usefixtures("called")
def test_every_page_is_fetched(client, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 1)
    assert [total.rows for total in client.usage.totals("hour,model")] == [4, 1, 2]


@pytest.mark.usefixtures("called")
def test_totals_become_a_data_frame(client):
    frame = client.usage.totals("model").to_pandas()
    assert frame.set_index("model")["rows"].to_dict() == {"sales/churn": 5, "sales/upsell": 2}


@pytest.mark.usefixtures("called")
def test_the_asynchronous_client_tells_the_same(api_url, login):
    async def ask():
        async with AsyncClient(api_url, login["api_key"]) as client:
            return await client.usage.totals("hour")

    assert asyncio.run(ask()).overall.rows == 7


def test_what_cannot_be_meant_is_refused(client):
    with pytest.raises(Invalid, match="Choose among hour"):
        client.usage.totals("colour")
    with pytest.raises(Invalid, match="since needs a time zone"):
        client.usage.totals(since=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
