import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from modelyard.core.errors import Broken, OutOfSpace, Unavailable
from modelyard.features.auth.tables import OrganisationRow
from modelyard.storage.db import migrate as migration
from modelyard.storage.db.engine import Database, now
from modelyard.storage.db.migrate import current, migrate, newest
from modelyard.storage.db.paging import Paging, page

WHEN = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(database_url):
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def migrated(database):
    migrate(database)
    return database


def organisation(number, when=WHEN):
    return OrganisationRow(id=f"org_{number:03}", name=f"number {number}", created_at=when)


def test_an_empty_database_is_brought_to_the_newest_schema(database):
    assert current(database) is None
    migrate(database)
    assert current(database) == newest()


def test_processes_that_start_together_migrate_once(database_url):
    errors, barrier = [], threading.Barrier(4)

    def start():
        opened = Database(database_url)
        barrier.wait()
        try:
            migrate(opened)
        except Exception as error:
            errors.append(error)
        finally:
            opened.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_database_of_a_newer_release_is_refused(migrated):
    with migrated.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Broken, match="newer release"):
        migrate(migrated)


def test_the_migrations_make_exactly_the_tables_that_the_code_has(migrated):
    import importlib
    import pkgutil

    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from modelyard import features
    from modelyard.storage.db.base import Table

    importlib.import_module("modelyard.web.idempotency")
    for feature in pkgutil.iter_modules(features.__path__):
        name = f"{features.__name__}.{feature.name}.tables"
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    with migrated.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Table.metadata) == []


def test_what_is_raised_undoes_the_transaction(migrated):
    def add_and_fail():
        with migrated.session() as session:
            session.add(organisation(1))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    with migrated.session(read_only=True) as session:
        assert session.query(OrganisationRow).count() == 0


def test_times_come_back_in_utc_whatever_zone_they_went_in(migrated):
    with migrated.session() as session:
        session.add(organisation(1, WHEN.astimezone(timezone(timedelta(hours=5)))))
    with migrated.session(read_only=True) as session:
        assert session.query(OrganisationRow).one().created_at == WHEN


def test_a_time_without_a_zone_is_never_stored(migrated):
    with pytest.raises(Exception, match="without a zone"), migrated.session() as session:
        session.add(organisation(1, datetime(2030, 1, 1)))  # noqa: DTZ001 - that is the point


def test_writers_wait_for_one_another_and_none_is_lost(migrated):
    errors = []

    def write(first):
        for number in range(first, first + 20):
            try:
                with migrated.session() as session:
                    # Read, then write: what deadlocks SQLite when a transaction begins as a reader.
                    session.query(OrganisationRow).count()
                    session.add(organisation(number))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with migrated.session(read_only=True) as session:
        assert session.query(OrganisationRow).count() == 120


def test_a_page_stays_right_while_rows_are_added(migrated):
    from sqlalchemy import select

    with migrated.session() as session:
        session.add_all(organisation(number) for number in range(5))
    with migrated.session() as session:
        first = page(session, select(OrganisationRow), OrganisationRow.id, Paging(2))
        session.add(organisation(9))
        session.flush()
        second = page(session, select(OrganisationRow), OrganisationRow.id, Paging(2, first.next_cursor))
        last = page(session, select(OrganisationRow), OrganisationRow.id, Paging(2, second.next_cursor))
    assert [row.id for row in [*first.rows, *second.rows, *last.rows]] == [f"org_{n:03}" for n in (4, 3, 2, 1, 0)]
    assert (first.total, last.next_cursor) == (5, None)


def test_the_databases_clock_is_aware_and_near_ours(migrated):
    with migrated.session(read_only=True) as session:
        assert abs(now(session) - datetime.now(UTC)) < timedelta(seconds=60)


def test_a_broken_rule_is_still_the_drivers_own_error(migrated):
    with migrated.session() as session:
        session.add(organisation(1))
    with pytest.raises(IntegrityError), migrated.session() as session:
        session.add(organisation(1))


def test_a_database_that_is_away_is_said_to_be():
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="does not answer"):
        current(away)
    away.dispose()


def test_a_full_disk_is_said_to_be_and_loses_nothing(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'small.db'}")
    migrate(database)
    with database.session() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        connection.rollback()
    with pytest.raises(OutOfSpace, match="full"), database.session() as session:
        # The limit belongs to the connection, and the pool hands the same one out again.
        session.add_all(organisation(number, WHEN) for number in range(5000))
    with database.session(read_only=True) as session:
        assert session.query(OrganisationRow).count() == 0
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    database.dispose()


def test_migration_files_are_numbered_without_gaps():
    numbers = sorted(path.name[:4] for path in (migration.MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
