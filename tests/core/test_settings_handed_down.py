"""Settings survive the way through the environment of a child."""

from pathlib import Path

from modelyard.core.settings import (
    Auth,
    Database,
    Jobs,
    Sandbox,
    Server,
    Settings,
    as_variables,
    child_environment,
    load,
)


def test_settings_come_back_the_same_from_their_variables(tmp_path: Path):
    settings = Settings(
        data=tmp_path,
        secret="s",
        server=Server(port=1, drain_seconds=0.5),
        database=Database(url="postgresql://h/d"),
        jobs=Jobs(memory=1 << 40),
        sandbox=Sandbox(allow_builtin=True),
        auth=Auth(mode="off"),
    )
    assert load(as_variables(settings)) == settings


def test_defaults_are_left_out():
    assert as_variables(Settings()) == {}


def test_a_child_sees_exactly_the_settings_of_its_parent(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MODELYARD_PORT", "1")
    monkeypatch.setenv("MODELYARD_API_KEY", "secret")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    database = Database(url="sqlite:////x")
    environment = child_environment(
        Settings(data=tmp_path, database=database), leave_out=frozenset({"MODELYARD_DATABASE_URL"})
    )
    assert {name for name in environment if name.startswith("MODELYARD_")} == {"MODELYARD_DATA"}
    assert environment["SOMETHING_ELSE"] == "kept"
