"""`modelyard sandbox run`: a command shut in, its exit code passed on."""

import pytest


def test_a_command_sees_its_folder_and_nothing_of_the_host(bare, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "in.txt").write_text("hello")
    script = f"cat /job/in.txt > /job/out.txt; ls {tmp_path} 2>/dev/null; cat /etc/shadow 2>/dev/null; echo done"
    ran = bare("sandbox", "run", "--work", work, "--", "/bin/sh", "-c", script)
    assert (ran.code, ran.out) == (0, "done\n"), ran.err
    assert (work / "out.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("limits", "script", "code"),
    [
        ((), "exit 9", 9),
        (("--time", "1s"), "sleep 60", 7),
        (("--memory", "64M"), "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo ${#x}", 6),
    ],
)
def test_the_exit_code_is_the_command_s_or_that_of_its_limit(bare, limits, script, code):
    assert bare("sandbox", "run", *limits, "--", "/bin/sh", "-c", script).code == code


def test_wrong_limits_and_folders_are_refused(bare, tmp_path):
    assert bare("sandbox", "run", "--memory", "much", "--", "true").code == 2
    assert bare("sandbox", "run").code == 2
    ran = bare("sandbox", "run", "--work", tmp_path / "none", "--", "true")
    assert (ran.code, "no folder" in ran.err) == (1, True)
