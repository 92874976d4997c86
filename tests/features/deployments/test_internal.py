"""The routes on which gateways tell of their load."""

import httpx
import msgspec
import pytest

from modelyard.credentials.internal import HEADER, token
from modelyard.features.deployments.tables import LoadRow
from modelyard.protocol.load import LoadReport

REPORT = msgspec.json.encode(LoadReport(gateway="g", started_at=1.0, at=2.0))


@pytest.fixture
def gateway(api_url, platform_parts):
    with httpx.Client(base_url=f"{api_url}/internal", headers={HEADER: token(platform_parts.secret)}) as opened:
        yield opened


def test_a_report_is_kept(gateway, platform_parts):
    assert gateway.post("/load", content=REPORT).status_code == 204
    with platform_parts.database.session(read_only=True) as session:
        (row,) = session.query(LoadRow)
    assert (row.gateway, row.report) == ("g", REPORT)


@pytest.mark.parametrize("body", [b"", b"{", b'{"gateway": 1}', b"\xff\xfe"])
def test_what_is_no_report_is_refused(gateway, body):
    answer = gateway.post("/load", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_waking_what_is_not_asleep_or_not_there_does_nothing(gateway):
    assert gateway.post("/wake", params={"deployment": "nobody"}).status_code == 204
    assert gateway.post("/wake").status_code == 422


@pytest.mark.parametrize("path", ["/internal/load", "/internal/wake?deployment=churn"])
def test_nobody_else_gets_in(client, path):
    assert client.post(path, content=REPORT).status_code == 404
