"""What happens to every request of the control plane, tried on the api's own application."""

import json
import threading

import pytest


@pytest.fixture
def dataset(client):
    return client.post("/api/v1/datasets", json={"name": "one"}).json()


def test_a_post_that_comes_twice_with_one_key_happens_once(client):
    headers = {"idempotency-key": "k1"}
    first = client.post("/api/v1/datasets", json={"name": "once"}, headers=headers)
    second = client.post("/api/v1/datasets", json={"name": "once"}, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert client.get("/api/v1/datasets").json()["total"] == 1


def test_a_refusal_is_replayed_too(client, dataset):
    headers = {"idempotency-key": "k2"}
    answers = [client.post("/api/v1/datasets", json={"name": "one"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["error"] == answers[1].json()["error"]


def test_posts_that_race_with_one_key_happen_once(client):
    answers = []

    def post():
        answers.append(client.post("/api/v1/datasets", json={"name": "race"}, headers={"idempotency-key": "k3"}))

    threads = [threading.Thread(target=post) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert client.get("/api/v1/datasets").json()["total"] == 1


def test_another_callers_key_is_another_key(client, other_client):
    headers = {"idempotency-key": "k4"}
    assert client.post("/api/v1/datasets", json={"name": "mine"}, headers=headers).status_code == 201
    answer = other_client.post("/api/v1/datasets", json={"name": "theirs"}, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (201, "theirs")


def test_a_request_keeps_the_id_it_came_with(client):
    answer = client.get("/api/v1/datasets/none", headers={"x-request-id": "trace-1"})
    assert answer.headers["x-request-id"] == "trace-1"
    assert answer.json()["request_id"] == "trace-1"


def test_a_hostile_request_id_is_replaced(client):
    answer = client.get("/api/v1/datasets/none", headers={"x-request-id": "a b<script>"})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("body", [b'{"name": NaN}', b'{"name": "x"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_a_400(client, body):
    answer = client.post("/api/v1/datasets", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "malformed"


def test_a_body_over_the_limit_is_a_413_declared_or_not(client):
    big = b'{"name": "' + b"x" * (17 << 20) + b'"}'

    def pieces():
        yield big

    declared = client.post("/api/v1/datasets", content=big, headers={"content-type": "application/json"})
    chunked = client.post("/api/v1/datasets", content=pieces(), headers={"content-type": "application/json"})
    assert [declared.status_code, chunked.status_code] == [413, 413]


def test_the_openapi_document_names_every_error_body(client):
    document = client.get("/api/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            schema = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}, (verb, path)
    assert not any(path.startswith("/internal") for path in document["paths"])


def test_the_documentation_page_asks_nothing_of_the_outside(client):
    page = client.get("/api/docs").text
    assert "https://" not in page
    assert "<script" not in page
    assert "/api/v1/datasets" in page


def test_whoever_opens_the_address_alone_is_shown_something(client):
    answer = client.get("/", follow_redirects=True, headers={"x-api-key": ""})
    assert (answer.status_code, answer.url.path) == (200, "/api/docs")


def test_a_login_opens_what_its_token_says_and_no_more(client, login):
    answer = client.post("/api/v1/auth/login", json={"username": login["username"], "password": login["password"]})
    token = answer.json()["access_token"]
    own = {"x-api-key": "", "authorization": f"Bearer {token}"}
    assert client.get("/api/v1/auth/me", headers=own).status_code == 200
    head, body, signature = token.split(".")
    forged = ".".join([head, body, signature[:-4] + "AAAA"])
    answer = client.get("/api/v1/auth/me", headers={"x-api-key": "", "authorization": f"Bearer {forged}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("body", [{"username": "admin", "password": "wrong"}, {"username": "nobody", "password": "x"}])
def test_a_wrong_login_does_not_say_which_half_was_wrong(client, body):
    answer = client.post("/api/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "The user name or the password is wrong.")


def test_an_api_key_is_shown_once_and_kept_as_a_digest(client, platform_parts):
    made = client.post("/api/v1/api-keys", json={"name": "ci"}).json()
    listed = client.get("/api/v1/api-keys").text
    assert made["key"] not in listed
    assert made["hint"] in listed
    raw = (platform_parts.settings.data / "modelyard.db").read_bytes()
    raw += (platform_parts.settings.data / "modelyard.db-wal").read_bytes()
    assert made["key"].encode() not in raw


def test_an_api_key_cannot_become_a_login(client):
    assert client.post("/api/v1/auth/refresh").status_code == 403


def test_the_internal_routes_are_not_there_without_the_token(client):
    for path in ("/internal/routing", "/internal/jobs/job_1/claim"):
        assert client.post(path, content=json.dumps({"token": 1})).status_code in {404, 405}
    assert client.get("/internal/routing").status_code == 404
