"""The platform's own REST interface against its own OpenAPI description, by schemathesis."""

from pathlib import Path

import httpx
import pytest

from fixtures.schemathesis import run


@pytest.mark.slow
def test_no_request_whatever_it_holds_breaks_the_api(
    installed: None, client: httpx.Client, login: dict[str, str], tmp_path: Path
) -> None:
    description = client.get("/api/v1/openapi.json").json()
    report = run(
        tmp_path,
        description,
        str(client.base_url),
        header=f"x-api-key: {login['api_key']}",
        phases=("coverage",),
        checks=("not_a_server_error", "response_schema_conformance"),
    )
    assert report.failed == [], report.text
    assert len(report.accepted) > 40
