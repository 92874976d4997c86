"""What can be trained, who decides about it, and configurations: through a real api."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from fixtures.training import Api
from modelyard.algorithms import registry
from modelyard.algorithms.tabular_classification.lightgbm import LightGBM
from modelyard.core.errors import Forbidden
from modelyard.features.auth.permissions import Principal
from modelyard.features.catalogue import configurations, operations
from modelyard.features.catalogue.schemas import ConfigurationChange, ConfigurationCreate
from modelyard.storage.db.engine import now as db_now
from modelyard.web.platform import Platform

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"


@pytest.fixture
def configuration(api: Api) -> Callable[..., dict[str, Any]]:
    def make(name: str = "careful", algorithm: str = LIGHTGBM, **more: Any) -> dict[str, Any]:
        made = api.post("/configurations", algorithm=algorithm, name=name, **more)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    return make


@pytest.fixture
def session(platform_parts: Platform) -> Iterator[Session]:
    with platform_parts.database.session() as opened:
        yield opened


def field_errors(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {field["field"]: field["message"] for field in answer.json()["error"]["fields"]}


def test_every_scenario_has_a_default_that_is_one_of_its_algorithms(api: Api) -> None:
    found = api.get("/scenarios").json()["items"]
    assert len(found) == 6
    for scenario in found:
        assert scenario["default"] in registry.names(scenario["name"])
    assert api.get("/scenarios/tabular-classification").json()["default"] == LIGHTGBM
    assert api.get("/scenarios/magic").status_code == 404


def test_an_algorithm_says_whether_it_may_be_used_and_is_installed(api: Api) -> None:
    found = api.get(f"/algorithms/{LIGHTGBM}").json()
    assert (found["enabled"], found["installed"], found["requires"], found["default_configuration"]) == (
        True, True, [], None,
    )  # fmt: skip
    assert found["parameters"]["properties"]["num_leaves"]["title"]


def test_an_algorithm_that_is_switched_off_is_refused_for_tasks_with_words(api: Api, dataset: Any) -> None:
    dataset()
    assert api.patch(f"/algorithms/{LINEAR}", enabled=False).json()["enabled"] is False
    refused = api.post("/training-tasks", dataset="churn", model="sales/churn", algorithm=LINEAR)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "disabled")
    assert "modelyard algorithm enable" in refused.json()["error"]["message"]
    listed = {found["name"]: found["enabled"] for found in api.get("/algorithms").json()["items"]}
    assert (listed[LINEAR], listed[LIGHTGBM]) == (False, True)
    api.patch(f"/algorithms/{LINEAR}", enabled=True)
    api.task(algorithm=LINEAR)


def test_an_algorithm_is_not_switched_off_while_tasks_could_run_it(api: Api, dataset: Any) -> None:
    dataset()
    task = api.task(algorithm=LINEAR, name="the monthly one")
    refused = api.patch(f"/algorithms/{LINEAR}", enabled=False)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_use")
    assert f"the monthly one ({task['id']})" in refused.json()["error"]["message"]
    assert api.patch(f"/algorithms/{LIGHTGBM}", enabled=False).status_code == 200
    api.delete(f"/training-tasks/{task['id']}")
    assert api.patch(f"/algorithms/{LINEAR}", enabled=False).status_code == 200


def test_what_a_scenario_trains_by_default_can_be_chosen(api: Api, dataset: Any, configuration: Any) -> None:
    dataset()
    assert api.patch("/scenarios/tabular-classification", default=LINEAR).json()["default"] == LINEAR
    assert api.task()["algorithm"] == LINEAR
    careful = configuration(parameters={"num_leaves": 7})
    assert api.patch("/scenarios/tabular-classification", default=careful["id"]).json()["default"] == careful["id"]
    task = api.task()
    assert (task["algorithm"], task["configuration"], task["parameters"]["num_leaves"]) == (LIGHTGBM, careful["id"], 7)
    assert api.patch("/scenarios/tabular-classification", default=None).json()["default"] == LIGHTGBM
    assert api.patch("/scenarios/tabular-regression", default=LINEAR).status_code == 422
    assert api.patch("/scenarios/tabular-regression", default="tabular-regression/magic").status_code == 404


def test_a_default_that_may_not_be_used_any_more_gives_way(api: Api) -> None:
    api.patch("/scenarios/tabular-classification", default=LINEAR)
    api.patch(f"/algorithms/{LINEAR}", enabled=False)
    assert api.get("/scenarios/tabular-classification").json()["default"] == LIGHTGBM
    api.patch(f"/algorithms/{LIGHTGBM}", enabled=False)
    left = api.get("/scenarios/tabular-classification").json()["default"]
    assert left not in {LINEAR, LIGHTGBM}


def test_a_configuration_keeps_what_was_given_and_nothing_else(api: Api, configuration: Any) -> None:
    made = configuration(title="Careful", parameters={"num_leaves": 7, "learning_rate": 0.01})
    assert made["parameters"] == {"num_leaves": 7, "learning_rate": 0.01}
    assert (made["enabled"], made["default"], made["builtin"]) == (True, False, False)
    assert api.get(f"/configurations/{made['id']}").json() == made
    assert [one["id"] for one in api.get("/configurations", algorithm=LIGHTGBM).json()["items"]] == [made["id"]]
    assert api.get("/configurations", algorithm=LINEAR).json()["items"] == []
    again = api.post("/configurations", algorithm=LIGHTGBM, name="careful")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "configuration_taken")
    configuration(algorithm=LINEAR)


def test_every_wrong_parameter_is_named(api: Api) -> None:
    wrong = {"num_leafs": 7, "learning_rate": "fast", "patience": 2}
    found = field_errors(api.post("/configurations", algorithm=LIGHTGBM, name="x", parameters=wrong))
    assert set(found) == {"num_leafs", "learning_rate", "patience"}
    assert "num_leaves" in found["num_leafs"]
    assert "5" in found["patience"]
    assert api.post("/configurations", algorithm="tabular-classification/magic", name="x").status_code == 404
    assert api.post("/configurations", algorithm=LIGHTGBM, name="A b").status_code == 422


def test_a_configuration_s_parameters_begin_a_task_and_the_task_s_own_overrule_them(
    api: Api, dataset: Any, configuration: Any
) -> None:
    dataset()
    made = configuration(parameters={"num_leaves": 7, "learning_rate": 0.01})
    for key in (made["id"], "careful"):
        task = api.task(algorithm=LIGHTGBM, configuration=key, parameters={"num_leaves": 9})
        assert task["configuration"] == made["id"]
        assert (task["parameters"]["num_leaves"], task["parameters"]["learning_rate"]) == (9, 0.01)
        assert task["fixed"] == ["learning_rate", "num_leaves"]
    assert api.task(configuration=made["id"])["algorithm"] == LIGHTGBM
    wrong = api.post(
        "/training-tasks", dataset="churn", model="sales/churn", algorithm=LINEAR, configuration=made["id"]
    )
    assert wrong.status_code == 404


def test_the_default_configuration_applies_where_none_is_named(api: Api, dataset: Any, configuration: Any) -> None:
    dataset()
    first, second = configuration("one", parameters={"num_leaves": 7}, default=True), configuration("two")
    assert api.get(f"/algorithms/{LIGHTGBM}").json()["default_configuration"] == first["id"]
    assert api.task(algorithm=LIGHTGBM)["parameters"]["num_leaves"] == 7
    assert api.task(algorithm=LIGHTGBM, configuration="none")["parameters"]["num_leaves"] == 31
    assert api.patch(f"/configurations/{second['id']}", default=True).json()["default"] is True
    assert api.get(f"/configurations/{first['id']}").json()["default"] is False
    api.patch(f"/configurations/{second['id']}", default=False)
    assert api.get(f"/algorithms/{LIGHTGBM}").json()["default_configuration"] is None


def test_a_configuration_that_tasks_were_made_with_stays(api: Api, dataset: Any, configuration: Any) -> None:
    dataset()
    made = configuration(default=True)
    task = api.task(algorithm=LIGHTGBM)
    for refused in (
        api.delete(f"/configurations/{made['id']}"),
        api.patch(f"/configurations/{made['id']}", enabled=False),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_use")
        assert task["id"] in refused.json()["error"]["message"]
    changed = api.patch(f"/configurations/{made['id']}", title="New", parameters={"num_leaves": 63}).json()
    assert (changed["title"], changed["parameters"]) == ("New", {"num_leaves": 63})
    assert api.get(f"/training-tasks/{task['id']}").json()["parameters"]["num_leaves"] == 31
    api.delete(f"/training-tasks/{task['id']}")
    assert api.patch(f"/configurations/{made['id']}", enabled=False).json()["default"] is False
    off = api.post("/training-tasks", dataset="churn", model="sales/churn", configuration=made["id"])
    assert (off.status_code, off.json()["error"]["code"]) == (409, "disabled")
    assert api.delete(f"/configurations/{made['id']}").status_code == 204
    assert api.get(f"/configurations/{made['id']}").status_code == 404


def test_only_administrators_decide_for_everybody(session: Session, owner: Principal) -> None:
    editor = Principal(user=owner.user, username="eve", organisation=owner.organisation, role="editor")
    now = db_now(session)
    made = configurations.create(session, editor, ConfigurationCreate(algorithm=LINEAR, name="mine"), now)
    configurations.change(session, editor, made.id, ConfigurationChange(title="Mine"))
    for change in (ConfigurationChange(enabled=False), ConfigurationChange(default=True)):
        with pytest.raises(Forbidden):
            configurations.change(session, editor, made.id, change)
    wanted = ConfigurationCreate(algorithm=LINEAR, name="other", default=True)
    with pytest.raises(Forbidden):
        configurations.create(session, editor, wanted, now)


def test_another_organisation_decides_for_itself(session: Session, owner: Principal) -> None:
    stranger = Principal(user="user_x", username="eve", organisation="org_x", role="administrator")
    operations.set_enabled(session, stranger, LINEAR, enabled=False)
    assert operations.is_enabled(session, owner, LINEAR)
    made = configurations.create(session, owner, ConfigurationCreate(algorithm=LINEAR, name="mine"), db_now(session))
    messages = set()
    for wanted in (made.id, "cfg_missing"):
        with pytest.raises(Exception, match="There is no configuration") as refused:
            configurations.get(session, stranger, wanted)
        messages.add(str(refused.value).replace(wanted, "…"))
    assert len(messages) == 1


def test_what_comes_with_an_algorithm_is_there_without_a_row(
    api: Api, dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = {"fast": {"title": "Fast", "description": "Few leaves.", "parameters": {"num_leaves": 4}}}
    monkeypatch.setattr(LightGBM, "presets", fast, raising=False)
    dataset()
    (found,) = api.get("/configurations", algorithm=LIGHTGBM).json()["items"]
    assert (found["name"], found["builtin"], found["parameters"]) == ("fast", True, {"num_leaves": 4})
    assert api.task(algorithm=LIGHTGBM, configuration="fast")["parameters"]["num_leaves"] == 4
    refused = api.patch(f"/configurations/{found['id']}", title="Mine")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "built_in")
    assert api.delete(f"/configurations/{found['id']}").status_code == 409
    assert api.patch(f"/configurations/{found['id']}", default=True).json()["default"] is True
    assert api.task(algorithm=LIGHTGBM)["configuration"] == found["id"]
    assert api.post("/configurations", algorithm=LIGHTGBM, name="fast").status_code == 409


def test_an_algorithm_whose_package_is_missing_says_so(api: Api, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LightGBM, "requires", ("no-such-package",))
    dataset()
    found = api.get(f"/algorithms/{LIGHTGBM}").json()
    assert (found["requires"], found["installed"]) == (["no-such-package"], False)
    assert api.get("/scenarios/tabular-classification").json()["default"] != LIGHTGBM
    refused = api.post("/training-tasks", dataset="churn", model="sales/churn", algorithm=LIGHTGBM)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_installed")
    assert "pip install no-such-package" in refused.json()["error"]["message"]
