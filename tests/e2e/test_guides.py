"""Each scenario's guide, run as it is written: the commands by a shell, the programs by Python."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides" / "scenarios").glob("*.md"))
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(guide: Path, language: str) -> list[str]:
    """The guide's blocks of one language, in order."""
    return [text for kind, text in BLOCK.findall(guide.read_text()) if kind == language]


def commands(guide: Path) -> list[str]:
    """What is typed behind the prompts."""
    return [line.removeprefix("$ ") for text in blocks(guide, "console") for line in text.splitlines()]


@pytest.fixture
def shell(platform, tmp_path):
    """Runs a command where the repository's files are, and what it writes is not: the text of its output."""
    for name in ("benchmarks", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {
        "MODELYARD_URL": platform.url,
        "MODELYARD_API_KEY": platform.key,
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(tmp_path),
    }

    def run(*command: str) -> str:
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert ran.returncode == 0, f"{command[-1]}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    return run


def test_there_is_a_guide_for_every_scenario_and_each_is_listed() -> None:
    listed = (ROOT / "docs" / "guides" / "scenarios" / "index.md").read_text()
    assert len(GUIDES) > 5
    assert [guide.name for guide in GUIDES if guide.stem != "index" and f"({guide.name})" not in listed] == []


@pytest.mark.parametrize("guide", [guide.stem for guide in GUIDES if guide.stem != "index"])
def test_the_commands_of_a_guide_run_as_written(guide: str, shell) -> None:
    typed = commands(ROOT / "docs" / "guides" / "scenarios" / f"{guide}.md")
    answers = [shell("bash", "-euo", "pipefail", "-c", command) for command in typed]
    # The way ends with a prediction.
    asked = [
        answer for command, answer in zip(typed, answers, strict=True) if re.match("curl|modelyard predict", command)
    ]
    assert asked
    assert all(re.search("prediction|cluster|anomaly", answer, re.IGNORECASE) for answer in asked), asked


@pytest.mark.parametrize("guide", [guide.stem for guide in GUIDES if guide.stem != "index"])
def test_the_program_of_a_guide_runs_as_written(guide: str, shell) -> None:
    (program,) = blocks(ROOT / "docs" / "guides" / "scenarios" / f"{guide}.md", "python")
    shell(sys.executable, "-c", program)
