"""`modelyard doctor` on good and on bad ground."""

import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.cli import checks
from modelyard.cli.checks import CHECKS
from modelyard.cli.doctor import examine
from modelyard.cli.supervisor import lock
from modelyard.core.settings import Database, Limits, Objects, Sandbox, Server, Settings, child_environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", server=Server(port=0))


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "modelyard.cli", "doctor", *arguments]
    environment = {**child_environment(Settings()), "MODELYARD_PORT": "0", **environment}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_it_says_all_there_is_to_say_without_a_platform_and_makes_nothing(tmp_path):
    done = doctor("--data", str(tmp_path / "data"))
    for name in CHECKS:
        assert f" {name} " in done.stdout, name
    assert done.returncode == (1 if "\nfail" in done.stdout else 0)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_it_answers_programs_in_json(tmp_path):
    done = doctor("--json", "--data", str(tmp_path), MODELYARD_PROT="80")
    told = json.loads(done.stdout)
    assert [check["name"] for check in told["checks"]] == list(CHECKS)
    assert told["healthy"] is (done.returncode == 0)
    variables = next(check for check in told["checks"] if check["name"] == "variables")
    assert variables["verdict"] == "warn"
    assert "MODELYARD_PROT" in variables["text"]
    assert variables["next_step"]


def test_a_failure_ends_with_exit_code_1_and_a_next_step():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = doctor(MODELYARD_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "fail  port" in done.stdout
    assert "→ Or set MODELYARD_PORT." in done.stdout


def test_a_port_that_the_platform_itself_holds_is_fine(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(data=settings.data, server=Server(port=taken.getsockname()[1]))
        script = "import sys; from pathlib import Path; from modelyard.cli.supervisor import lock\n"
        script += "lock.hold(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
        argv = [sys.executable, "-c", script, str(settings.data)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as up:
            up.stdout.readline()
            (settings.data / lock.URL).write_text("http://127.0.0.1:1\n")
            finding = checks.port(settings)
            up.kill()
        assert finding == checks.ok(f"the platform runs (process {up.pid}) at http://127.0.0.1:1")
        assert checks.port(settings).verdict == "fail"


def test_a_data_folder_that_cannot_be_written_fails(tmp_path):
    assert checks.data_folder(Settings(data=Path("/proc/modelyard"))).verdict == "fail"
    assert checks.data_folder(Settings(data=tmp_path)).text == str(tmp_path)
    assert "will be made" in checks.data_folder(Settings(data=tmp_path / "a" / "b")).text


def test_too_little_disk_fails(settings):
    finding = checks.disk(Settings(data=settings.data, limits=Limits(free_disk=1 << 60)))
    assert finding.verdict == "fail"
    assert "MODELYARD_DATA" in finding.next_step


def revision(path: Path, at: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (at,))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("at", "verdict", "text"),
    [("0002", "ok", "the newest"), ("0001", "ok", "brings it to 0002"), ("0003", "fail", "this release knows 0002")],
)
def test_the_database_is_compared_with_this_release(settings, monkeypatch, tmp_path, at, verdict, text):
    (tmp_path / "0001_first.py").touch()
    (tmp_path / "0002_second.py").touch()
    monkeypatch.setattr(checks, "MIGRATIONS", tmp_path)
    settings.data.mkdir()
    revision(settings.data / "modelyard.db", at)
    finding = checks.database(settings)
    assert finding.verdict == verdict
    assert text in finding.text


def test_an_empty_database_is_fine_and_a_damaged_one_is_not(settings):
    assert checks.database(settings).verdict == "ok"
    assert not settings.data.exists()
    settings.data.mkdir()
    (settings.data / "modelyard.db").write_text("this is no database at all, and it is long enough to show it" * 20)
    finding = checks.database(settings)
    assert finding.verdict == "fail"
    assert "MODELYARD_DATABASE_URL" in finding.next_step


def test_a_database_that_does_not_answer_fails_without_telling_its_password(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    url = f"postgresql+psycopg://user:hush-hush@127.0.0.1:{port}/db"
    finding = checks.database(Settings(data=settings.data, database=Database(url=url)))
    assert finding.verdict == "fail"
    assert "refused" in finding.text
    assert "hush-hush" not in finding.text


def test_an_object_store_that_is_missing_or_cannot_be_read_is_told(settings, tmp_path):
    assert "will be made" in checks.objects(settings).text
    (tmp_path / "objects").mkdir()
    assert checks.objects(Settings(data=settings.data, objects=Objects(url=str(tmp_path / "objects")))).verdict == "ok"


def test_a_sandbox_that_does_not_exist_fails_and_is_named(settings):
    finding = checks.sandbox(Settings(data=settings.data, sandbox=Sandbox(kind="cardboard")))
    assert finding.verdict == "fail"
    assert "cardboard" in finding.next_step


def test_a_clock_that_is_behind_the_installation_fails(settings, monkeypatch):
    monkeypatch.setattr(checks.time, "time", lambda: 1.0)
    assert checks.clock(settings).verdict == "fail"


def test_missing_packages_are_named(settings, monkeypatch):
    required = ["click>=8", "certainly-not-installed>=1", 'pandas; extra == "pandas"']
    monkeypatch.setattr(checks.importlib.metadata, "requires", lambda _: required)
    finding = checks.packages(settings)
    assert finding.verdict == "fail"
    assert finding.text == "missing: certainly-not-installed"


def test_a_check_that_breaks_does_not_hide_the_others(settings):
    finding = examine(lambda _: 1 / 0, settings)
    assert finding.verdict == "fail"
    assert "ZeroDivisionError" in finding.text
