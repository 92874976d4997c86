"""Usage over HTTP."""

import pytest

from fixtures.usage import lines, record
from modelyard.credentials import internal


@pytest.fixture
def inside(platform_parts):
    return {internal.HEADER: internal.token(platform_parts.secret)}


def test_a_journal_goes_in_and_totals_come_out(client, inside):
    journal = lines(record(3), record(4, status=422))
    taken = client.post("/internal/usage", params={"journal": "j", "offset": 0}, content=journal, headers=inside)
    assert taken.json() == {"accepted": len(journal)}
    gap = client.post("/internal/usage", params={"journal": "j", "offset": 999}, content=b"x", headers=inside)
    assert (gap.status_code, gap.json()["error"]["code"]) == (409, "journal_gap")
    assert gap.json()["error"]["detail"] == {"accepted": len(journal)}
    shipped = client.post("/internal/usage/shipped", params={"journal": "j"}, headers=inside)
    assert shipped.status_code == 204
    found = client.get("/api/v1/usage", params={"by": "status, hour", "from": "2030-01-01T12:59:00Z"}).json()
    assert found == {
        "items": [
            {**group(status=200), "requests": 1, "rows": 3, "bytes_in": 10, "bytes_out": 20, "micros": 300},
            {**group(status=422), "requests": 1, "rows": 4, "bytes_in": 10, "bytes_out": 20, "micros": 300},
        ],
        "next_cursor": None,
        "total": 2,
        "overall": {"requests": 2, "rows": 7, "bytes_in": 20, "bytes_out": 40, "micros": 600},
    }


def group(**named):
    return {"hour": "2030-01-01T12:00:00Z", **dict.fromkeys(("key", "prefix", "model", "version")), **named}


def test_without_the_platform_s_token_nothing_goes_in(client):
    journal = {"journal": "j", "offset": 0}
    assert client.post("/internal/usage", params=journal, content=lines(record())).status_code == 404
    assert client.get("/api/v1/usage").json()["total"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"by": "colour"}, "by"),
        ({"by": ""}, "by"),
        ({"by": "x" * 300}, "by"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2030-01-01T00:00:00"}, "from"),
        ({"to": "0001-01-01T00:00:00+05:00"}, "to"),
        ({"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, "from"),
        ({"prefix": "No Prefix"}, "prefix"),
        ({"model": "churn"}, "model"),
        ({"model": "sales/churn\n"}, "model"),
        ({"key": "key\0"}, "key"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "0"}, "limit"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(client, query, field):
    answer = client.get("/api/v1/usage", params=query)
    assert answer.status_code == 422, answer.text
    assert field in [one["field"] for one in answer.json()["error"]["fields"]]


def test_nobody_sees_totals_without_a_credential(api_url, client):
    assert client.get("/api/v1/usage", headers={"x-api-key": "my_none"}).status_code == 401
