"""Whatever is sent: a clear error with a code, the right status, a next step, nothing half-written, no traceback."""

import io
import json
import socket
import time
import zipfile

import pytest

ROWS = b"".join(b"%d,%s,%s\n" % (n, b"red" if n % 3 else b"blue", b"yes" if n % 2 else b"no") for n in range(200))
GOOD = b"size,colour,bought\n" + ROWS


def refused(answer, status, code):
    """The error of an answer that must be a clear refusal."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"]["code"] == code, body
    assert len(body["error"]["message"]) > 15
    assert "Traceback" not in answer.text
    assert ".py" not in body["error"]["message"]
    assert body["request_id"]
    return body["error"]


@pytest.fixture
def dataset(user, fresh):
    name = fresh("bad")
    assert user.post("/datasets", {"name": name}).status_code == 201
    return name


def nothing_is_left(user, platform, dataset):
    assert user.get(f"/datasets/{dataset}/samples").json()["items"] == []
    found = user.get(f"/datasets/{dataset}").json()
    assert (found["samples"], found["size"]) == (0, 0)
    assert not list((platform.data / "objects" / "datasets" / found["id"]).rglob("*.*"))


@pytest.mark.parametrize(
    ("content", "filename", "code"),
    [
        (b"", "empty.csv", "empty_file"),
        (b"size,colour\n", "header-only.csv", "no_rows"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "report.csv", "not_a_table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "picture.csv", "not_a_table"),
        (b"<!doctype html><html><body>Not found</body></html>", "page.csv", "not_a_table"),
        (b"# Notes\n\nTo whom it may concern.\n" * 20, "notes.md", "not_a_table"),
        (b"a,b,a\n1,2,3\n4,5,6\n", "twins.csv", "duplicate_columns"),
        (
            b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b",".join([b"1"] * 10_000) + b"\n",
            "wide.csv",
            "too_many_columns",
        ),
        (b"PAR1 this is not parquet", "broken.parquet", "unreadable"),
        (b"PK\x03\x04 this is no workbook", "broken.xlsx", "unreadable"),
    ],
)
def test_a_file_that_is_no_table_is_refused_and_leaves_nothing(user, platform, dataset, content, filename, code):
    error = refused(user.upload(dataset, content, filename), 422, code)
    if code == "duplicate_columns":
        assert "a" in error["message"]
    nothing_is_left(user, platform, dataset)


def test_a_file_in_the_wrong_encoding_is_decoded_or_refused_never_garbled(user, platform, dataset):
    german = "straße,größe\nMünchen,5\nKöln,7\n"
    uploaded = user.upload(dataset, german.encode("cp1252"))
    assert uploaded.status_code == 201, uploaded.text
    assert [column["name"] for column in uploaded.json()["profile"]["columns"]] == ["straße", "größe"]


def test_a_file_over_the_limit_is_refused_before_it_is_read(user, platform, dataset):
    with socket.create_connection(platform.url.removeprefix("http://").split(":")) as connection:
        connection.settimeout(10)
        head = (
            f"POST /api/v1/datasets/{dataset}/samples?filename=huge.csv HTTP/1.1\r\nhost: x\r\n"
            f"x-api-key: {platform.key}\r\ncontent-length: {1 << 45}\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = connection.recv(65536)
    assert answer.split(b" ")[1] in {b"413", b"507"}
    nothing_is_left(user, platform, dataset)


def test_an_upload_that_breaks_off_leaves_nothing(user, platform, dataset):
    host, port = platform.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"POST /api/v1/datasets/{dataset}/samples?filename=half.csv HTTP/1.1\r\nhost: x\r\n"
        f"x-api-key: {platform.key}\r\ncontent-length: 1000000\r\n\r\nsize,colour\n1,red\n"
    )
    connection.sendall(head.encode())
    connection.close()
    until = time.monotonic() + 10
    folder = platform.data / "objects" / "datasets" / user.get(f"/datasets/{dataset}").json()["id"]
    while time.monotonic() < until and list(folder.rglob("*.*")):
        time.sleep(0.05)
    nothing_is_left(user, platform, dataset)


def test_a_table_without_the_target_names_the_nearest_columns(user, fresh):
    name = fresh("bad")
    user.dataset(name, GOOD)
    body = {"intent": "predict the weather", "dataset": name, "model": "shop/weather"}
    error = refused(user.post("/builds", body), 422, "target_unclear")
    assert error["detail"]["nearest"]
    task = {"dataset": name, "algorithm": "tabular-classification/linear", "target": "bougth", "model": "shop/typo"}
    error = refused(user.post("/training-tasks", task), 422, "target_missing")
    assert "bought" in error["message"]


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (b"size,bought\n" + b"".join(b"%d,yes\n" % n for n in range(50)), {"nothing_to_predict"}),
        (b"size,bought\n" + b"".join(b"%d,\n" % n for n in range(50)), {"nothing_to_predict"}),
        (b"size,bought\n1,yes\n", {"nothing_to_predict"}),
    ],
    ids=["one class", "all values missing", "one row"],
)
def test_a_target_with_nothing_to_learn_is_refused_before_training(user, fresh, content, codes):
    name = fresh("bad")
    user.dataset(name, content)
    answer = user.post("/builds", {"intent": "predict who bought", "dataset": name, "model": "shop/bought"})
    refused(answer, 422, codes.pop())


def test_a_table_with_too_few_rows_fails_with_the_number_it_needs(user, fresh):
    name = fresh("bad")
    user.dataset(name, b"size,bought\n1,yes\n2,no\n3,yes\n")
    job = user.build(name, "predict who bought", f"shop/{fresh('few')}")
    assert job["state"] == "failed"
    assert job["error"]["code"] == "too_few_rows"
    assert any(character.isdigit() for character in job["error"]["message"])


def test_a_table_of_empty_columns_fails_with_a_reason(user, fresh):
    name = fresh("bad")
    user.dataset(name, b"a,b,bought\n" + b"".join(b",,%s\n" % (b"yes" if n % 2 else b"no") for n in range(100)))
    job = user.build(name, "predict who bought", f"shop/{fresh('empty')}")
    assert (job["state"], job["error"]["code"]) == ("failed", "no_features")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "01", "nul"])
def test_json_that_is_none_is_refused(user, survivors, passenger, word):
    body = json.dumps({"instances": [passenger]}).replace("34.5", word)
    answer = user.http.post(survivors, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    refused(answer, answer.status_code, answer.json()["error"]["code"])


def test_json_nested_without_end_is_refused(user, survivors):
    deep = b"[" * 200_000 + b"]" * 200_000
    for path in (survivors, "/api/v1/datasets"):
        answer = user.http.post(path, content=deep, headers={"content-type": "application/json"})
        refused(answer, 400, "malformed")


def test_a_number_of_five_thousand_digits_is_refused(user, survivors, passenger):
    body = json.dumps({"instances": [passenger]}).replace("34.5", "9" * 5000)
    answer = user.http.post(survivors, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}


def test_a_row_that_does_not_fit_names_the_field_and_the_row(user, survivors, passenger):
    error = refused(user.predict(survivors, passenger, passenger | {"age": "old"}), 422, "invalid")
    assert error["fields"][0]["field"] == "age"
    assert error["fields"][0]["row"] == 1
    without = {name: value for name, value in passenger.items() if name != "sex"}
    error = refused(user.predict(survivors, without), 422, "invalid")
    assert error["fields"][0]["field"] == "sex"


def test_unseen_categories_and_extra_columns_are_answered(user, survivors, passenger):
    answer = user.predict(survivors, passenger | {"embarked": "Mars", "hobby": "chess"})
    assert answer.status_code == 200, answer.text


def test_no_instances_are_refused(user, survivors):
    refused(user.predict(survivors), 422, "invalid")


def test_a_body_of_a_gigabyte_is_refused_unread(platform, survivors):
    host, port = platform.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(10)
        connection.sendall(
            f"POST {survivors} HTTP/1.1\r\nhost: x\r\nx-api-key: {platform.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {1 << 30}\r\n\r\n".encode()
        )
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"too_large"' in answer


def test_a_body_of_another_kind_is_refused(user, survivors):
    answer = user.http.post(survivors, content=b"<xml/>", headers={"content-type": "application/xml"})
    refused(answer, 415, "unsupported")


def test_an_unknown_model_is_not_found(user):
    refused(user.predict("/models/nobody/nothing/", {}), 404, "not_found")


def test_a_version_that_is_not_deployed_names_the_ones_that_are(user, survivors, passenger):
    error = refused(user.predict(f"{survivors}v99/", passenger), 404, "not_found")
    assert "v1" in error["message"]


def test_without_a_key_nothing_is_answered(platform, survivors, passenger):
    import httpx

    for headers in ({}, {"x-api-key": "my_00000000_wrong"}, {"authorization": "Bearer a.b.c"}):
        for path in (survivors, "/api/v1/datasets"):
            answer = httpx.post(platform.url + path, json={"instances": [passenger]}, headers=headers)
            refused(answer, 401, "unauthenticated")


def test_a_revoked_key_is_refused_everywhere_within_a_second(user, platform, survivors, passenger):
    made = user.post("/api-keys", {"name": "short-lived"}).json()
    with platform.http(made["key"]) as other:
        until = time.monotonic() + 5
        while other.post(survivors, json={"instances": [passenger]}).status_code != 200:
            assert time.monotonic() < until
        assert user.http.delete(f"/api/v1/api-keys/{made['id']}").status_code == 204
        revoked = time.monotonic()
        refused(other.get("/api/v1/datasets"), 401, "unauthenticated")
        while other.post(survivors, json={"instances": [passenger]}).status_code == 200:
            assert time.monotonic() - revoked < 1.0
        refused(other.post(survivors, json={"instances": [passenger]}), 401, "unauthenticated")


def test_a_read_only_key_predicts_but_changes_nothing(user, platform, survivors, passenger):
    made = user.post("/api-keys", {"read_only": True}).json()
    with platform.http(made["key"]) as other:
        until = time.monotonic() + 5
        while other.post(survivors, json={"instances": [passenger]}).status_code != 200:
            assert time.monotonic() < until
        refused(other.post("/api/v1/datasets", json={"name": "x"}), 403, "forbidden")


def test_a_key_for_one_prefix_does_not_see_another(user, platform, survivors, passenger):
    made = user.post("/api-keys", {"prefixes": ["finance"]}).json()
    with platform.http(made["key"]) as other:
        answer = other.post(survivors, json={"instances": [passenger]})
        until = time.monotonic() + 5
        while answer.status_code == 401 and time.monotonic() < until:
            answer = other.post(survivors, json={"instances": [passenger]})
        refused(answer, 404, "not_found")
        refused(other.get("/api/v1/prefixes/museum/models/titanic"), 404, "not_found")
        assert other.get("/api/v1/models").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/datasets", {"name": "../../etc/passwd"}),
        ("/datasets", {"name": "ok", "scenario": "astrology"}),
        ("/datasets", {}),
        ("/datasets", [1, 2, 3]),
        ("/builds", {"intent": "x", "dataset": "y", "model": "no-prefix"}),
        ("/deployments", {"key": "BAD KEY"}),
        ("/api-keys", {"expires_at": "yesterday"}),
        ("/training-tasks", {"dataset": "x", "algorithm": "tabular-classification/linear", "model": "A/B"}),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(user, path, body):
    answer = user.post(path, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["message"]


def test_a_path_that_is_not_there_is_a_clean_404(user):
    refused(user.http.get("/api/v1/nothing"), 404, "not_found")
    refused(user.http.get("/internal/health"), 404, "not_found")
    refused(user.http.put("/api/v1/datasets"), 405, "method_not_allowed")


def test_an_excel_file_with_a_table_is_read(user, dataset):
    workbook = _workbook([["size", "bought"], [1, "yes"], [2, "no"]])
    uploaded = user.upload(dataset, workbook, "table.xlsx")
    assert uploaded.status_code == 201, uploaded.text
    assert uploaded.json()["rows"] == 2


CONTENT_TYPES = """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="xml" ContentType="application/xml"/>
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
RELATIONSHIPS = """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="{target}"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"/></Relationships>"""
WORKBOOK = """<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>"""
SHEET = """<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">
<sheetData>{rows}</sheetData></worksheet>"""


def _workbook(rows):
    """The smallest workbook that a spreadsheet program itself would open."""

    def cell(value):
        inner = f"<is><t>{value}</t></is>" if isinstance(value, str) else f"<v>{value}</v>"
        return f'<c t="inlineStr">{inner}</c>' if isinstance(value, str) else f"<c>{inner}</c>"

    cells = "".join(f"<row>{''.join(cell(value) for value in row)}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": RELATIONSHIPS.format(kind="officeDocument", target="xl/workbook.xml"),
        "xl/workbook.xml": WORKBOOK,
        "xl/_rels/workbook.xml.rels": RELATIONSHIPS.format(kind="worksheet", target="worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": SHEET.format(rows=cells),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()
