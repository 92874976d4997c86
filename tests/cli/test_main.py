"""The command's frame: lazy commands, exit codes, errors without tracebacks."""

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from modelyard.cli import main as frame
from modelyard.cli import output
from modelyard.core import errors
from modelyard.core.settings import Settings, child_environment

HEAVY = ("rich", "httpx", "pydantic", "sqlalchemy", "fastapi", "sklearn", "lightgbm", "onnx", "onnxruntime", "numpy")


def modelyard(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelyard.cli", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**child_environment(Settings()), **environment},
        timeout=60,
        check=False,
    )


@pytest.fixture
def command(monkeypatch):
    """Makes `modelyard try` run a function."""

    def make(function):
        made = click.Command("try", callback=function)
        made.params.append(click.Option(["--json"], is_flag=True, expose_value=False))
        monkeypatch.setitem(frame.COMMANDS, "try", frame.Entry("nowhere:try", "Tries."))
        monkeypatch.setattr(frame, "load", lambda target: made)

    return make


def test_help_lists_every_command_and_imports_none_of_them():
    script = (
        "import sys; from modelyard.cli.main import run; code = run(['--help']); "
        "print('LOADED', *sorted(name for name in sys.modules if name.startswith('modelyard.') or '.' not in name)); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    text, _, loaded = done.stdout.partition("LOADED ")
    names = loaded.split()
    assert [name for name in names if name in HEAVY] == []
    assert [n for n in names if n.startswith("modelyard.")] == [
        "modelyard.cli",
        "modelyard.cli.main",
        "modelyard.core",
        "modelyard.core.errors",
    ]
    for name, entry in frame.COMMANDS.items():
        assert f"  {name} " in text
        assert entry.help.split()[0] in text


def test_help_answers_in_a_third_of_a_second():
    def once() -> float:
        began = time.monotonic()
        assert modelyard("--help").returncode == 0
        return time.monotonic() - began

    assert min(once() for _ in range(5)) < 0.35


def test_the_version_is_told():
    assert modelyard("--version").stdout.strip() == f"modelyard {frame.__version__}"


@pytest.mark.parametrize("name", ["up", "doctor", "settings", "api", "controller", "gateway"])
def test_commands_of_the_frame_are_loaded_when_they_are_asked_for(name, capsys):
    assert frame.run([name, "--help"]) == 0
    assert f"modelyard {name}" in capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error(capsys):
    assert frame.run(["fly"]) == 2
    assert "No such command 'fly'" in capsys.readouterr().err


def test_a_command_whose_file_is_missing_is_a_failure_that_names_it(capsys, monkeypatch):
    monkeypatch.setitem(frame.COMMANDS, "try", frame.Entry("modelyard.cli.not_there:try", "Tries."))
    assert frame.run(["try"]) == 1
    assert "lacks modelyard.cli.not_there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Invalid, 1),
        (errors.Unauthenticated, 4),
        (errors.OutOfCredit, 6),
        (errors.Forbidden, 4),
        (errors.NotFound, 3),
        (errors.Conflict, 5),
        (errors.Fenced, 5),
        (errors.TooMany, 6),
        (errors.TooLarge, 1),
        (errors.Unavailable, 1),
        (errors.TimedOut, 7),
        (errors.Broken, 1),
    ],
)
def test_each_family_of_errors_has_its_exit_code_and_is_one_line(error, code, command, capsys):
    def fail():
        raise error("The job is gone. List jobs with `modelyard job list`.")

    command(fail)
    assert frame.run(["try"]) == code
    assert capsys.readouterr().err == "error: The job is gone. List jobs with `modelyard job list`.\n"


def test_fields_that_are_wrong_are_listed(command, capsys):
    def fail():
        raise errors.Invalid("Two rows do not fit.", fields=[{"field": "age", "row": 3, "message": "not a number"}])

    command(fail)
    frame.run(["try"])
    assert "  field age, row 3: not a number\n" in capsys.readouterr().err


def test_under_json_errors_are_json(command, capsys):
    def fail():
        raise errors.NotFound("No such model.", detail={"model": "a/b"})

    command(fail)
    assert frame.run(["try", "--json"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["error"] == {
        "code": "not_found",
        "message": "No such model.",
        "detail": {"model": "a/b"},
        "fields": [],
    }
    assert frame.run(["try", "--json", "--wrong"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_a_bug_is_told_without_a_traceback_and_with_one_when_asked(command, capsys, monkeypatch):
    def fail():
        raise KeyError("gone")

    command(fail)
    monkeypatch.delenv("MODELYARD_LOG_LEVEL", raising=False)
    assert frame.run(["try"]) == 1
    told = capsys.readouterr().err
    assert "KeyError" in told
    assert "--debug" in told
    assert "Traceback" not in told
    frame.run(["--debug", "try"])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("MODELYARD_LOG_LEVEL", "debug")
    frame.run(["try"])
    assert "in fail" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(command):
    def fail():
        raise KeyboardInterrupt

    command(fail)
    assert frame.run(["try"]) == 130


def test_an_early_exit_of_a_command_keeps_its_code(command):
    command(lambda: click.get_current_context().exit(7))
    assert frame.run(["try"]) == 7


def test_what_was_given_before_the_command_reaches_it(command):
    seen = []
    command(lambda: seen.append(click.get_current_context().obj))
    assert frame.run(["--url", "http://u", "--api-key", "k", "try"]) == 0
    assert seen == [frame.Invocation(url="http://u", api_key="k")]


def test_a_reader_that_has_read_enough_is_no_bug():
    script = "import sys; from modelyard.cli.main import run; sys.exit(run(['settings']))"
    shell = f'{sys.executable} -c "{script}" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_settings_are_listed_with_their_values_and_secrets_are_not(tmp_path: Path):
    secret = "do-not-show-me"
    url = f"postgresql://u:{secret}@h/d"
    done = modelyard("settings", MODELYARD_SECRET=secret, MODELYARD_DATABASE_URL=url, MODELYARD_PORT="9001")
    assert done.returncode == 0
    assert secret not in done.stdout
    assert "MODELYARD_PORT\t9001\t8000\t" in done.stdout
    assert "MODELYARD_SECRET\t(set)\t-\t" in done.stdout
    rows = json.loads(modelyard("settings", "--json").stdout)
    assert {"variable", "value", "default", "group", "description"} == set(rows[0])
    assert all(row["description"] for row in rows)


def test_a_misspelt_variable_is_told_and_a_wrong_value_refused():
    assert "MODELYARD_PROT sets nothing" in modelyard("settings", MODELYARD_PROT="1").stderr
    wrong = modelyard("settings", MODELYARD_PORT="many")
    assert wrong.returncode == 1
    assert "MODELYARD_PORT='many'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_process_alone_becomes_the_process_with_exactly_the_settings_that_were_given(tmp_path: Path):
    script = (
        "import sys; from modelyard.cli import main, processes; "
        "show = 'import os; print(os.getpid(), {n: v for n, v in os.environ.items() if n.startswith(\"MODELYARD\")})'; "
        "processes.module = lambda name: [sys.executable, '-c', show]; "
        "main.main(['gateway', '--port', '9100', '--data', sys.argv[1]])"
    )
    environment = {**child_environment(Settings()), "MODELYARD_PORT": "1", "MODELYARD_API_KEY": "not-for-it"}
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        told, _ = process.communicate(timeout=60)
    assert told.split(maxsplit=1)[0] == str(process.pid)
    assert eval(told.split(maxsplit=1)[1]) == {"MODELYARD_DATA": str(tmp_path), "MODELYARD_PORT": "9100"}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 20, "20 MiB"), (5 << 50, "5120 TiB")]
)
def test_sizes_can_be_read(count, text):
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.35, "350 ms"),
        (0.9999, "1.0 s"),
        (4.21, "4.2 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (3.2 * 86400, "3 d 4 h"),
    ],
)
def test_durations_can_be_read(seconds, text):
    assert output.duration(seconds) == text


def test_tables_are_tab_separated_where_no_terminal_is(capsys):
    rows = [{"name": "a\tb\nc", "size": 2048}, {"name": None, "size": 1}]
    columns = [output.Column("name", "NAME"), output.Column("size", "SIZE", output.size)]
    output.show(rows, columns, as_json=False)
    assert capsys.readouterr().out == "NAME\tSIZE\na b c\t2.0 KiB\n-\t1 B\n"
    output.show(rows, columns, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


def test_tables_are_aligned_on_a_terminal_and_data_is_not_taken_for_markup(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.show_table([{"name": "[red]x[/red]"}], [output.Column("name", "NAME")])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_pydantic_models_are_shown_as_what_they_hold(capsys):
    from pydantic import BaseModel

    class Thing(BaseModel):
        name: str

    output.show([Thing(name="x")], [output.Column("name", "NAME")], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"name": "x"}]
    output.show([Thing(name="x")], [output.Column("name", "NAME")], as_json=False)
    assert capsys.readouterr().out == "NAME\nx\n"


def test_progress_draws_nothing_where_no_terminal_is(capsys):
    with output.progress("upload") as update:
        update(0.5, "half")
    assert capsys.readouterr() == ("", "")
