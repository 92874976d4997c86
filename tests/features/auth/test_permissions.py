import pytest

from modelyard.core.errors import Forbidden, NotFound
from modelyard.credentials.scope import covers
from modelyard.features.auth.permissions import Principal, check


def principal(role="editor", **changes):
    return Principal(user="user_1", username="ann", organisation="org_1", role=role, **changes)


@pytest.mark.parametrize(
    ("role", "action", "may"),
    [
        ("viewer", "read", True),
        ("viewer", "predict", True),
        ("viewer", "write", False),
        ("editor", "write", True),
        ("editor", "manage", False),
        ("administrator", "manage", True),
    ],
)
def test_a_role_may_do_what_it_may(role, action, may):
    if may:
        check(principal(role), action)
    else:
        with pytest.raises(Forbidden, match=role):
            check(principal(role), action)


def test_a_read_only_key_predicts_but_changes_nothing():
    check(principal(read_only=True), "predict")
    with pytest.raises(Forbidden, match="read-only"):
        check(principal(read_only=True), "write")


def test_a_prefix_outside_a_narrowed_key_looks_as_if_it_were_not_there():
    narrowed = principal(prefixes=("sales",))
    check(narrowed, "read", prefix="sales")
    check(narrowed, "read", prefix="sales/europe")
    with pytest.raises(NotFound):
        check(narrowed, "read", prefix="finance")


def test_a_prefix_that_only_begins_alike_is_not_covered():
    assert not covers(("sales",), "salesforce")
    assert covers(None, "anything")


def test_an_unknown_role_may_nothing():
    with pytest.raises(Forbidden):
        check(principal("visitor"), "read")
