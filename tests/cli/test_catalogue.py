"""`modelyard algorithm`."""


def test_the_algorithms_of_a_scenario_are_listed(at_api):
    header, *rows = at_api("algorithm", "list", "--scenario", "tabular-regression").rows
    assert header[0] == "ALGORITHM"
    assert rows
    assert all(row[0].startswith("tabular-regression/") for row in rows)
    assert len(at_api("algorithm", "list", "--json").json) > len(rows)


def test_an_algorithm_shows_what_its_parameters_may_be(at_api):
    ran = at_api("algorithm", "show", "tabular-classification/lightgbm")
    lines = {row[0]: row for row in ran.rows if len(row) == 4}
    assert lines["num_leaves"][1:3] == ["integer 2 … 255", "31"]
    assert at_api("algorithm", "show", "tabular-classification/lightgbm", "--json").json["parameters"]["properties"]


def test_an_unknown_algorithm_is_not_found(at_api):
    assert at_api("algorithm", "show", "tabular-classification/magic").code == 3
