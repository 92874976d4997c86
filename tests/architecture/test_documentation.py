"""The prose is true: what it names exists, what exists is on the map, and the reference pages are those of the code."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from modelyard.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"(?:src|href)=\"([^\"]+)\"")
# A path in running text: inline code with a slash in it, or a file by its ending.
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:py|toml|txt|md))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert [target for target in links(page.read_text()) if not leads_somewhere(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_text_exists(page: Path) -> None:
    text = CODE_BLOCK.sub("", page.read_text())
    assert [path for path in NAMED.findall(text) if is_of_the_repository(path) and not exists(path)] == []


def test_the_map_in_the_readme_matches_the_folders() -> None:
    drawn = map_of((ROOT / "README.md").read_text())
    assert drawn == sorted(drawn_folders())


def test_a_link_to_nowhere_is_noticed() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](README.md#no-such-heading) [d](https://example.org)"
    wrong = [target for target in links(text) if not leads_somewhere(ROOT / "CONTRIBUTING.md", target)]
    assert wrong == ["nowhere.md", "README.md#no-such-heading"]


def test_the_reference_pages_are_those_of_the_code() -> None:
    generate = generator()
    stale = [name for name, page in generate.PAGES.items() if (generate.REFERENCE / name).read_text() != page()]
    assert stale == [], "run `make fix`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_text_can_be_given(page: Path) -> None:
    assert [line for line in commands(page.read_text()) if not can_be_given(line)] == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    shown = commands("Type `modelyard dataset paint churn` or\n```console\n$ modelyard up --colour red  # why not\n```")
    assert shown == ["modelyard dataset paint churn", "modelyard up --colour red"]
    assert not any(can_be_given(line) for line in shown)


def commands(text: str) -> list[str]:
    """The lines in which a page calls the command, in code blocks and in running text."""
    in_blocks = re.findall(r"^\$ (modelyard .*?)(?:\s+#.*)?$", text, re.MULTILINE)
    return re.findall(r"`(modelyard [^`]*)`", CODE_BLOCK.sub("", text)) + in_blocks


def can_be_given(line: str) -> bool:
    """Whether there is such a command with such options; values are not looked at."""
    found: click.Command = cli
    words = shlex.split(line.partition(" -- ")[0])[1:]
    while words and isinstance(found, click.Group):
        context = click.Context(found)
        if words[0].startswith("-"):
            break
        below = found.get_command(context, words.pop(0))
        if below is None:
            return False
        found = below
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.partition("=")[0] in known | {"--help"} for word in words if word.startswith("--"))


def generator() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def links(text: str) -> list[str]:
    """The targets of all links and pictures."""
    plain = CODE_BLOCK.sub("", text)
    return LINK.findall(plain) + SOURCE.findall(plain)


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link on `page` has a file, and a heading where it names one. Links to other sites are not followed."""
    if re.match(r"[a-z]+:", target):
        return True
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return file.exists() and (not anchor or anchor in headings(file))


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def is_of_the_repository(path: str) -> bool:
    """Whether a name in the text is meant as a path here, and not as a part of a URL or a file that is made later."""
    first = path.split("/")[0]
    return first != "." and ((ROOT / first).exists() or (ROOT / "src" / "modelyard" / first).exists())


def exists(path: str) -> bool:
    """Whether the path is there: from the root, or from the package."""
    return (ROOT / path).exists() or (ROOT / "src" / "modelyard" / path).exists()


def map_of(readme: str) -> list[str]:
    """The folders that the map draws: two spaces of indentation are one level."""
    block = readme.partition("## Map")[2].partition("```text\n")[2].partition("```")[0]
    above: list[str] = []
    folders = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.strip("/")]
        if name.endswith("/"):
            folders.append("/".join(above))
    return sorted(folders)


def drawn_folders() -> list[str]:
    """The folders that a map must show: those of the root, of the package and of the features."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    levels = [ROOT, ROOT / "src", ROOT / "src" / "modelyard", ROOT / "src" / "modelyard" / "features"]
    found = [path for level in levels for path in level.iterdir() if path.is_dir() and path.name not in ignored]
    return [str(path.relative_to(ROOT)) for path in found if not path.name.endswith(".egg-info")]
