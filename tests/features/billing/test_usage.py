"""Totals, for whom they are meant."""

import base64
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from fixtures.usage import NOON, lines, record
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth import operations as auth
from modelyard.features.auth.permissions import Principal
from modelyard.features.auth.schemas import ApiKeyCreate
from modelyard.features.auth.tables import OrganisationRow, UserRow
from modelyard.features.billing import operations
from modelyard.features.billing.ingest import ingest
from modelyard.features.billing.operations import Filter
from modelyard.features.billing.schemas import Usage
from modelyard.storage.db.engine import Database
from modelyard.storage.db.paging import Paging

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = 3600.0

Ask = Callable[..., Usage]


@pytest.fixture
def viewer(database: Database, administrator: Principal) -> Principal:
    """Somebody who is no administrator."""
    with database.session() as session:
        user = UserRow(
            id="user_viewer", organisation=administrator.organisation, username="viewer", role="viewer",
            password_hash="", disabled=False, created_at=NOW,
        )  # fmt: skip
        session.add(user)
        return Principal(user=user.id, username="viewer", organisation=user.organisation, role="viewer")


@pytest.fixture
def ask(database: Database, administrator: Principal) -> Ask:
    def asked(*by: str, caller: Principal = administrator, paging: Paging = Paging(), **which: object) -> Usage:
        with database.session(read_only=True) as session:
            return operations.usage(session, caller, by, Filter(**which), paging)  # type: ignore[arg-type]

    return asked


@pytest.fixture
def called(database: Database, administrator: Principal) -> None:
    """Six calls: of three models in two prefixes, by two keys, in three hours."""
    journal = lines(
        record(1, at=NOON),
        record(2, at=NOON + 3599.9, status=422),
        record(4, at=NOON + HOUR, version=2),
        record(8, at=NOON + HOUR, caller="key_2", model="upsell"),
        record(16, at=NOON + 2 * HOUR, caller="key_2", prefix="sales/europe"),
        record(32, at=NOON + 2 * HOUR, prefix="salesforce", version=0, status=503),
    )
    ingest(database, "j", 0, journal)


def rows(found: Usage, *fields: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(total, field) for field in fields) for total in found.items]


@pytest.mark.usefixtures("called")
def test_totals_by_hour_are_newest_first(ask: Ask) -> None:
    found = ask("hour")
    assert rows(found, "hour", "requests", "rows") == [
        (NOW + timedelta(hours=2), 2, 48), (NOW + timedelta(hours=1), 2, 12), (NOW, 2, 3),
    ]  # fmt: skip
    assert (found.total, found.overall.requests, found.overall.rows) == (3, 6, 63)
    assert (found.overall.bytes_in, found.overall.bytes_out, found.overall.micros) == (60, 120, 1800)
    assert found.items[0].model is None


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("by", "fields", "expected"),
    [
        ("key", ("key", "rows"), [("key_1", 39), ("key_2", 24)]),
        ("prefix", ("prefix", "rows"), [("sales", 15), ("sales/europe", 16), ("salesforce", 32)]),
        ("status", ("status", "rows"), [(200, 29), (422, 2), (503, 32)]),
        (
            "model",
            ("prefix", "model", "rows"),
            [
                ("sales", "sales/churn", 7),
                ("sales", "sales/upsell", 8),
                ("sales/europe", "sales/europe/churn", 16),
                ("salesforce", "salesforce/churn", 32),
            ],
        ),
        (
            "version",
            ("model", "version", "rows"),
            [
                ("sales/churn", "v1", 3),
                ("sales/churn", "v2", 4),
                ("sales/upsell", "v1", 8),
                ("sales/europe/churn", "v1", 16),
                ("salesforce/churn", "", 32),
            ],
        ),
    ],
)
def test_totals_are_grouped_by_what_is_asked(
    ask: Ask, by: str, fields: tuple[str, ...], expected: list[tuple[object, ...]]
) -> None:
    assert rows(ask(by), *fields) == expected


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"begin": NOW + timedelta(minutes=90)}, 60),
        ({"end": NOW + timedelta(hours=1)}, 3),
        ({"begin": NOW.astimezone(timezone(timedelta(hours=5))), "end": NOW + timedelta(minutes=1)}, 3),
        ({"begin": NOW + timedelta(days=1)}, 0),
        ({"key": "key_2"}, 24),
        ({"key": "key_3"}, 0),
        ({"prefix": "sales"}, 31),
        ({"prefix": "sale"}, 0),
        ({"model": "sales/churn"}, 7),
        ({"model": "sales/europe/churn"}, 16),
        ({"prefix": "sales/europe", "model": "sales/churn"}, 0),
        ({"begin": NOW + timedelta(hours=1), "key": "key_1", "prefix": "sales"}, 4),
    ],
)
def test_totals_are_of_what_is_asked(ask: Ask, which: dict[str, object], expected: int) -> None:
    found = ask("model", "hour", **which)
    assert (found.overall.rows, sum(total.rows for total in found.items)) == (expected, expected)


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("by", [("hour", "version", "key", "status"), ("status", "prefix"), ("version",)])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_show_every_group_once_in_the_same_order(ask: Ask, by: tuple[str, ...], limit: int) -> None:
    whole, pages, cursor = ask(*by), [], None
    while True:
        page = ask(*by, paging=Paging(limit, cursor))
        assert (page.total, page.overall) == (whole.total, whole.overall)
        assert len(page.items) <= limit
        pages += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == whole.items
    assert len(pages) > 2


@pytest.mark.usefixtures("called")
def test_a_page_stays_right_while_calls_come_in(ask: Ask, database: Database) -> None:
    first = ask("hour", paging=Paging(2))
    ingest(database, "later", 0, lines(record(at=NOON + 5 * HOUR)))
    second = ask("hour", paging=Paging(2, first.next_cursor))
    assert rows(second, "hour") == [(NOW,)]


def test_others_see_what_their_own_keys_called(
    ask: Ask, database: Database, administrator: Principal, viewer: Principal
) -> None:
    with database.session() as session:
        key, _ = auth.create_key(session, viewer, ApiKeyCreate(name="mine"), NOW)
        gone, _ = auth.create_key(session, viewer, ApiKeyCreate(name="gone"), NOW)
        auth.revoke_key(session, viewer, gone.id, NOW)
        theirs, _ = auth.create_key(session, administrator, ApiKeyCreate(), NOW)
    callers = (key.id, gone.id, viewer.user, theirs.id, administrator.user)
    ingest(database, "j", 0, lines(*(record(1 << number, caller=caller) for number, caller in enumerate(callers))))
    assert ask("key", caller=viewer).overall.rows == 1 + 2 + 4
    assert ask("key", caller=viewer, key=key.id).overall.rows == 1
    assert ask("key", caller=viewer, key=theirs.id).items == []
    assert ask("key").overall.rows == 31
    assert ask("key", caller=dataclasses.replace(administrator, read_only=True)).overall.rows == 31


@pytest.mark.usefixtures("called")
def test_a_narrowed_key_sees_its_prefixes(ask: Ask, administrator: Principal) -> None:
    narrow = dataclasses.replace(administrator, prefixes=("sales/europe", "salesforce"))
    assert ask("model", caller=narrow).overall.rows == 48
    assert ask("model", caller=narrow, prefix="sales/europe").overall.rows == 16
    assert ask("model", caller=dataclasses.replace(administrator, prefixes=())).overall.rows == 0
    for hidden in ({"prefix": "sales"}, {"model": "sales/churn"}):
        with pytest.raises(NotFound, match="not yours"):
            ask("model", caller=narrow, **hidden)


@pytest.mark.usefixtures("called")
def test_another_organisation_sees_nothing_of_it(ask: Ask, database: Database, administrator: Principal) -> None:
    with database.session() as session:
        session.add(OrganisationRow(id="org_zz", name="other", created_at=NOW))
        session.flush()
        session.add(
            UserRow(
                id="user_other",
                organisation="org_zz",
                username="other",
                role="administrator",
                password_hash="",
                disabled=False,
                created_at=NOW,
            )
        )
    other = dataclasses.replace(administrator, user="user_other", organisation="org_zz")
    assert ask("model", caller=other).items == []
    ingest(database, "k", 0, lines(record(5, caller="user_other")))
    assert ask("model", caller=other).overall.rows == 5
    assert ask("model").overall.rows == 63


@pytest.mark.parametrize(
    ("by", "which", "field"),
    [
        (("colour",), {}, "by"),
        ((), {}, "by"),
        (("hour",), {"begin": datetime(2030, 1, 1)}, "from"),  # noqa: DTZ001 - that is the point
        (("hour",), {"end": datetime(2030, 1, 1)}, "to"),  # noqa: DTZ001
        (("hour",), {"begin": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))}, "from"),
        (("hour",), {"begin": NOW, "end": NOW - timedelta(hours=1)}, "from"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    ask: Ask, by: tuple[str, ...], which: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        ask(*by, **which)
    assert caught.value.fields[0]["field"] == field


@pytest.mark.parametrize("content", ["x", "[1, 2]", '["\\u0000"]', '["a", "b"]', '["2030-01-01T00:00:00Z"]', ""])
def test_a_cursor_of_something_else_is_refused(ask: Ask, content: str) -> None:
    cursor = base64.urlsafe_b64encode(content.encode()).decode()
    with pytest.raises(Invalid, match="next_cursor"):
        ask("status", paging=Paging(1, cursor))


@pytest.mark.parametrize("cursor", ["x", "é", "bm8"])
def test_a_cursor_that_was_cut_is_refused(ask: Ask, cursor: str) -> None:
    with pytest.raises(Invalid, match="next_cursor"):
        ask("prefix", paging=Paging(1, cursor))


@pytest.mark.parametrize("moment", ["2030-01-01T00:00:00", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_cursor_with_a_time_that_cannot_be_is_refused(ask: Ask, moment: str) -> None:
    with pytest.raises(Invalid) as caught:
        ask("hour", paging=Paging(1, base64.urlsafe_b64encode(f'["{moment}"]'.encode()).decode()))
    assert caught.value.fields[0]["field"] == "cursor"


@pytest.mark.parametrize("text", ['["a\\u0000"]', "[3]"])
def test_a_cursor_with_a_name_that_cannot_be_is_refused(ask: Ask, text: str) -> None:
    with pytest.raises(Invalid, match="next_cursor"):
        ask("prefix", paging=Paging(1, base64.urlsafe_b64encode(text.encode()).decode()))


def test_without_calls_there_is_nothing_to_count(ask: Ask) -> None:
    found = ask("model")
    assert (found.items, found.total, found.overall.requests) == ([], 0, 0)
