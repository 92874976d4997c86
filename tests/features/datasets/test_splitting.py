"""Rows divided into training, validation and test: the shares, what stays together, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.datasets import splitting
from modelyard.features.datasets.errors import BadFilter, BadSplit, EmptyDataset
from modelyard.features.datasets.schemas import Rule, Split
from modelyard.features.datasets.split import FREE, Shares, by_key, by_time

USUAL = Shares.of(0.7, 0.15, 0.15)


def split(shelf, of="people", **wanted):
    return splitting.split(shelf.platform, shelf.principal, of, Split(**wanted))


def purposes(shelf, of="people"):
    return [row.purpose for row in shelf.all(of)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.integers(0, 5))
def test_what_has_one_key_goes_to_one_side(keys, seed):
    found = by_key(np.array(keys, np.uint64), USUAL, seed)
    assert all(len({found[place] for place, other in enumerate(keys) if other == key}) == 1 for key in keys)


@given(st.permutations(range(60)))
def test_the_order_of_the_rows_makes_no_difference(order):
    keys = np.arange(60, dtype=np.uint64) * 977
    usual = by_key(keys, USUAL, 3)
    assert (by_key(keys[list(order)], USUAL, 3) == usual[list(order)]).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=200))
def test_in_each_series_training_comes_before_validation_before_test(rows):
    series, times = (np.array(column) for column in zip(*rows, strict=True))
    found = by_time(times.astype(float), series.astype(np.uint64), USUAL)
    for one in set(series.tolist()):
        mine = series == one
        assert found[mine][np.argmin(times[mine])] == 0
        for before in (0, 1):
            early, late = times[mine & (found <= before)], times[mine & (found > before)]
            assert not len(late) or not len(early) or early.max() < late.min()


def test_the_shares_are_met(shelf, people):
    people(rows=1000)
    done = split(shelf, method="random")
    assert (done.method, done.counts) == ("random", {"training": 700, "validation": 150, "test": 150})
    assert split(shelf, method="random", training=0.4, validation=0, test=0.1, seed=1).counts == {
        "training": 800, "validation": 0, "test": 200,
    }  # fmt: skip


def test_the_seed_decides_and_nothing_else(shelf, people):
    people(rows=300)
    first = (split(shelf, method="random"), purposes(shelf))[1]
    assert (split(shelf, method="random", seed=1), purposes(shelf))[1] != first
    split(shelf, method="random", seed=0)
    assert purposes(shelf) == first


def test_rows_that_are_alike_but_for_the_target_stay_together(shelf):
    shelf.dataset(target="y")
    shelf.sample("SELECT range % 50 AS x, range % 2 AS y FROM range(500)")
    split(shelf)
    sides = {}
    for row in shelf.all():
        sides.setdefault(row.values["x"], set()).add(row.purpose)
    assert all(len(side) == 1 for side in sides.values())
    assert len({next(iter(side)) for side in sides.values()}) == 3


def test_classes_keep_their_shares_and_rows_without_a_label_are_learned_from(shelf):
    shelf.dataset(target="y", scenario="text-classification")
    shelf.sample(
        "SELECT 'text ' || range AS text, CASE WHEN range % 10 = 0 THEN 'rare' WHEN range % 10 = 5 THEN NULL "
        "ELSE 'usual' END AS y FROM range(1000)"
    )
    assert split(shelf).method == "stratified"
    rows = shelf.all()
    for label, size in (("rare", 100), ("usual", 800)):
        of_it = [row.purpose for row in rows if row.values["y"] == label]
        assert [of_it.count(purpose) / size for purpose in ("training", "validation", "test")] == [0.7, 0.15, 0.15]
    assert {row.purpose for row in rows if row.values["y"] is None} == {"training"}


def test_groups_stay_whole(shelf, people):
    people(rows=700)
    assert split(shelf, group="city").method == "group"
    sides = {(row.values["city"], row.purpose) for row in shelf.all()}
    assert len(sides) == 7
    assert len({purpose for _, purpose in sides}) == 3


def test_series_are_divided_by_time_and_never_at_random(shelf):
    shelf.dataset("sales", scenario="time-series-prediction")
    shelf.sample(
        "SELECT DATE '2024-01-01' + (range % 20)::INT AS date, 'shop ' || range // 20 AS shop, range AS sales "
        "FROM range(40) ORDER BY hash(range)",
        to="sales",
    )
    done = split(shelf, "sales")
    assert (done.method, done.counts) == ("time", {"training": 28, "validation": 6, "test": 6})
    for shop in ("shop 0", "shop 1"):
        rows = sorted((row.values["date"], row.purpose) for row in shelf.all("sales") if row.values["shop"] == shop)
        assert [purpose for _, purpose in rows] == ["training"] * 14 + ["validation"] * 3 + ["test"] * 3
    for method in ("random", "stratified", "group"):
        with pytest.raises(BadSplit, match="better than it is"):
            split(shelf, "sales", method=method)


def test_a_table_is_divided_by_time_where_it_is_asked_for(shelf, people):
    people(rows=100)
    assert split(shelf, time="seen").method == "time"
    assert purposes(shelf) == ["training"] * 70 + ["validation"] * 15 + ["test"] * 15
    with pytest.raises(BadSplit, match="no times"):
        split(shelf, time="city")
    with pytest.raises(BadSplit, match="not said which column"):
        split(shelf, method="time")
    with pytest.raises(BadSplit, match="no column 'nowhere'"):
        split(shelf, group="nowhere")


def test_what_is_for_a_test_already_stays_so_with_all_that_is_like_it(shelf):
    shelf.dataset()
    shelf.sample("SELECT range AS x FROM range(100)")
    shelf.sample("SELECT range AS x FROM range(90, 110)", purpose="test")
    split(shelf, method="random", keep_existing=True)
    found = shelf.all()
    assert {row.purpose for row in found[100:]} == {"test"}
    assert {row.purpose for row in found[90:100]} == {"test"}
    first = [row.purpose for row in found[:90]]
    assert first.count("training") == 63
    split(shelf, method="random")
    assert {row.purpose for row in shelf.all()[100:]} == {"training", "validation", "test"}


def test_rules_say_which_rows_are_for_what(shelf, people):
    people(rows=100)
    rules = [Rule(filter=["id:<:10"], purpose="test"), Rule(filter=["id:<:20", "left:=:true"], purpose="validation")]
    done = split(shelf, rules=rules)
    assert (done.method, done.counts) == ("rules", {"training": 87, "validation": 3, "test": 10})
    with pytest.raises(BadFilter):
        split(shelf, rules=[Rule(filter=["nothing:=:1"], purpose="test")])


def test_an_empty_dataset_cannot_be_divided(shelf):
    shelf.dataset()
    with pytest.raises(EmptyDataset):
        split(shelf)


def test_deleted_rows_are_not_counted(shelf, people):
    from modelyard.features.datasets import editing
    from modelyard.features.datasets.schemas import RowsUpdate, Where

    people(rows=200)
    gone = RowsUpdate(where=Where(filter=["id:>=:100"]), deleted=True)
    editing.update(shelf.platform, shelf.principal, "people", gone)
    assert split(shelf, method="random").counts == {"training": 70, "validation": 15, "test": 15}


def test_rows_with_a_purpose_take_their_whole_unit_with_them():
    keys = np.array([1, 1, 2, 3, 3], np.uint64)
    fixed = np.array([FREE, 2, FREE, 1, FREE], np.uint8)
    assert by_key(keys, Shares.of(1, 0, 0), 0, fixed=fixed).tolist() == [2, 2, 0, 1, 1]
