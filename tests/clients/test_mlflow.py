"""MLflow's own client, `ScoringServerClient`, at the URL of a model. It sends no credential."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fixtures.clients import Client, Raised, serving
from fixtures.gateways import GatewayProcess
from fixtures.serving import answer_of
from fixtures.tensors import ROWS, columns, many


class MLflow:
    """The client, on one model of one gateway."""

    def __init__(self, client: Client, gateway: GatewayProcess, path: str = "sales/churn") -> None:
        self._client = client
        self._gateway = gateway
        self._url = f"{gateway.url}/models/{path}"

    def at(self, path: str) -> "MLflow":
        return MLflow(self._client, self._gateway, path)

    def ask(self, method: str, **arguments: Any) -> Any:
        return self._client("ask", url=self._url, method=method, **arguments)

    def invoke(self, data: Any, name: str = "invoke", **arguments: Any) -> Any:
        return self._client(name, url=self._url, data=data, **arguments)

    def refused(self, data: Any, status: int, **arguments: Any) -> dict[str, str]:
        """What it is told, as MLflow's server would say it."""
        with pytest.raises(Raised) as raised:
            self.invoke(data, **arguments)
        said = raised.value.message
        begin = f"Invocation failed (error code {status}, response: "
        assert said.startswith(begin)
        found: dict[str, str] = json.loads(said.removeprefix(begin).removesuffix(")"))
        assert set(found) == {"error_code", "message"}
        return found


@pytest.fixture(scope="module")
def client(client_of: Callable[[str], Client]) -> Client:
    return client_of("mlflow_scoring")


@pytest.fixture(scope="module", params=["isolated", "embedded"])
def open_gateway(
    installed: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """One that asks for no credential."""
    data = tmp_path_factory.mktemp("clients") / "data"
    with serving(data, embedded=request.param == "embedded", open_access=True) as made:
        yield made


@pytest.fixture
def mlflow(client: Client, open_gateway: GatewayProcess) -> MLflow:
    return MLflow(client, open_gateway)


def labels(rows: list[dict[str, Any]], version: int) -> list[str]:
    """What MLflow's server answers for a classifier: the labels, as `predict` gives them."""
    return [answer_of(row, version)["prediction"] for row in rows]


def test_it_waits_until_the_model_is_ready(mlflow: MLflow) -> None:
    mlflow.ask("wait_server_ready", timeout=10)
    mlflow.ask("ping")
    assert mlflow.ask("get_version") == "v2\n"
    assert mlflow.at("sales/churn/v1").ask("get_version") == "v1\n"


@pytest.mark.parametrize("path", ["sales/churn/v3", "sales/churn/v9", "sales/nothing"])
def test_it_does_not_take_for_ready_what_is_not(mlflow: MLflow, path: str) -> None:
    with pytest.raises(Raised) as raised:
        mlflow.at(path).ask("ping")
    assert raised.value.message == f"ping failed (error code {503 if path.endswith('v3') else 404})"


@pytest.mark.parametrize("count", [1, 3, 500])
def test_every_row_of_a_data_frame_is_answered_rightly(mlflow: MLflow, count: int) -> None:
    rows = many(count)
    assert mlflow.invoke(columns(rows), frame=True) == {"predictions": labels(rows, 2)}


@pytest.mark.parametrize("path", ["sales/churn/v1", "sales/churn/staging"])
def test_the_version_that_is_named_answers(mlflow: MLflow, path: str) -> None:
    rows = [{"x": -0.75, "n": 0, "flag": False, "plan": "basic"}, *ROWS]
    assert labels(rows, 1) != labels(rows, 2)
    assert mlflow.at(path).invoke(columns(rows), frame=True) == {"predictions": labels(rows, 1)}


def test_a_list_of_rows_is_answered(mlflow: MLflow) -> None:
    assert mlflow.invoke(ROWS) == {"predictions": labels(ROWS, 2)}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": columns(ROWS)},
        {"instances": ROWS},
        {"instances": columns(ROWS)},
        {"dataframe_records": ROWS},
        {"dataframe_split": {"columns": list(columns(ROWS)), "data": [list(row.values()) for row in ROWS]}},
    ],
    ids=lambda body: next(iter(body)),
)
def test_a_body_of_the_caller_s_own_is_answered(mlflow: MLflow, body: dict[str, Any]) -> None:
    assert mlflow.invoke(json.dumps(body)) == {"predictions": labels(ROWS, 2)}


def test_a_frame_may_have_types_of_pandas_and_numpy_and_missing_values(mlflow: MLflow) -> None:
    rows = [{**ROWS[0], "x": float("nan")}, *ROWS[1:]]
    found = mlflow.invoke(
        columns(rows), "invoke_categorical", column="plan", dtypes={"x": "float32", "n": "int16", "flag": "bool"}
    )
    assert found == labels([{**ROWS[0], "x": None}, *ROWS[1:]], 2)


def test_parameters_that_a_model_does_not_have_are_refused(mlflow: MLflow) -> None:
    assert mlflow.invoke(columns(ROWS), frame=True, params={}) == {"predictions": labels(ROWS, 2)}
    said = mlflow.refused(columns(ROWS), 422, frame=True, params={"threshold": 0.3})
    assert said == {
        "error_code": "BAD_REQUEST",
        "message": 'Parameter "threshold": there is no such option. Choose from top_k.',
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": [0.5, 1, 2]}, 'Row 0, column "n": expected a whole number, got the number 0.5.'),
        ({"plan": ["pro", 7, "pro"]}, 'Row 1, column "plan": expected a string, got the number 7.'),
    ],
)
def test_what_does_not_fit_is_refused_naming_row_and_column(mlflow: MLflow, changes: dict[str, Any], said: str) -> None:
    found = mlflow.refused({**columns(ROWS), **changes}, 422, frame=True)
    assert found == {"error_code": "BAD_REQUEST", "message": said}


def test_a_missing_column_is_named(mlflow: MLflow) -> None:
    frame = columns(ROWS)
    del frame["plan"]
    assert 'column "plan": this column is missing.' in mlflow.refused(frame, 422, frame=True)["message"]


def test_an_array_without_names_is_refused(mlflow: MLflow) -> None:
    found = mlflow.refused([[1.0, 2.0, 1.0, 0.0]], 422, name="invoke_array")
    assert "Row 0" in found["message"]


@pytest.mark.parametrize("path", ["sales/churn/v9", "sales/nothing"])
def test_a_model_or_version_that_is_not_there_is_told_in_the_protocol_s_words(mlflow: MLflow, path: str) -> None:
    assert mlflow.at(path).refused(ROWS, 404)["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_version_that_is_loading_is_told_in_the_protocol_s_words(mlflow: MLflow) -> None:
    assert mlflow.at("sales/churn/v3").refused(ROWS, 503)["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_without_open_access_it_is_told_that_a_credential_is_missing(client: Client, gateway: GatewayProcess) -> None:
    mlflow = MLflow(client, gateway)
    assert mlflow.refused(ROWS, 401)["error_code"] == "UNAUTHENTICATED"
    with pytest.raises(Raised) as raised:
        mlflow.ask("ping")
    assert raised.value.message == "ping failed (error code 401)"
