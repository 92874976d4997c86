import pytest

from modelyard.features.builder.errors import NothingToPredict, TargetUnclear
from modelyard.features.builder.planner import plan
from modelyard.features.builder.words import match, stem, words_of


def column(name, kind="number", distinct=100, top=(), identifier=False):
    return {"name": name, "kind": kind, "distinct": distinct, "missing": 0, "top": list(top), "identifier": identifier}


CHURN = {
    "rows": 7000,
    "columns": [
        column("customerID", "category", 7000, identifier=True),
        column("gender", "category", 2, [("Male", 3600), ("Female", 3400)]),
        column("tenure", "integer", 73),
        column("MonthlyCharges"),
        column("TotalCharges"),
        column("Churn", "category", 2, [("No", 5000), ("Yes", 2000)]),
    ],
}
TITANIC = {
    "rows": 891,
    "columns": [
        column("PassengerId", "integer", 891, identifier=True),
        column("Survived", "integer", 2, [(0, 549), (1, 342)]),
        column("Pclass", "integer", 3, [(3, 491), (1, 216), (2, 184)]),
        column("Fare"),
    ],
}
HOUSES = {"rows": 20000, "columns": [column("longitude"), column("median_income"), column("median_house_value")]}


@pytest.mark.parametrize(
    ("intent", "profile", "target", "scenario"),
    [
        ("predict which customers churn", CHURN, "Churn", "tabular-classification"),
        ("Which customers are going to churn?", CHURN, "Churn", "tabular-classification"),
        ("predict churning customers from their contract", CHURN, "Churn", "tabular-classification"),
        ("estimate the monthly charges of a customer", CHURN, "MonthlyCharges", "tabular-regression"),
        ("predict the tenure", CHURN, "tenure", "tabular-regression"),
        ("predict who survives", TITANIC, "Survived", "tabular-classification"),
        ("which passengers survived the disaster", TITANIC, "Survived", "tabular-classification"),
        ("predict the fare", TITANIC, "Fare", "tabular-regression"),
        ("classify the pclass of a passenger", TITANIC, "Pclass", "tabular-classification"),
        ("predict the median house value of a district", HOUSES, "median_house_value", "tabular-regression"),
        ("predict 'median_income'", HOUSES, "median_income", "tabular-regression"),
    ],
)
def test_an_intent_names_its_target_and_its_task(intent, profile, target, scenario):
    made = plan(intent, profile)
    assert (made.target, made.scenario) == (target, scenario)


def test_a_typing_error_in_the_intent_is_forgiven():
    assert plan("predict which custmers chrun or churnn", CHURN).target == "Churn"


def test_the_positive_class_is_the_one_that_affirms():
    assert plan("predict churn", CHURN).positive == "Yes"
    assert plan("predict who survives", TITANIC).positive == "1"


def test_without_an_affirming_class_the_rarer_one_is_positive():
    made = plan("predict the gender", CHURN)
    assert made.positive == "Female"


def test_identifiers_are_left_out_with_a_reason():
    made = plan("predict churn", CHURN)
    assert made.drop == ["customerID"]
    assert any(reason.decision == "left out" and reason.value == "customerID" for reason in made.reasons)


def test_every_decision_says_why():
    assert all(reason.because for reason in plan("predict churn", CHURN).reasons)


def test_an_intent_that_matches_no_column_is_refused_with_the_nearest():
    with pytest.raises(TargetUnclear, match="--target") as refused:
        plan("predict the colour of the sky", HOUSES)
    assert set(refused.value.detail["nearest"]) <= {"longitude", "median_income", "median_house_value"}


def test_an_intent_that_may_mean_two_columns_is_refused():
    with pytest.raises(TargetUnclear, match="TotalCharges"):
        plan("predict the charges", CHURN)


def test_a_named_target_overrules_the_intent():
    assert plan("predict something", CHURN, target="tenure").target == "tenure"


def test_a_named_target_that_is_not_there_is_refused():
    with pytest.raises(TargetUnclear, match="no column 'churned'"):
        plan("predict churn", CHURN, target="churned")


def test_a_target_with_one_value_is_refused_by_naming_it():
    profile = {"rows": 5, "columns": [column("a"), column("won", "category", 1, [("no", 5)])]}
    with pytest.raises(NothingToPredict, match="'no'"):
        plan("predict who won", profile)


def test_names_are_split_wherever_people_join_them():
    assert words_of("TotalCharges") == words_of("total_charges") == words_of("Total charges") == ["total", "charges"]


def test_endings_do_not_matter():
    assert stem("churned") == stem("churning") == stem("churn")
    assert stem("survives") == stem("survived")


def test_a_column_scores_nothing_when_no_word_is_alike():
    assert match("predict which customers churn", "longitude") == 0.0
