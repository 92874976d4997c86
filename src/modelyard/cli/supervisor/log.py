"""One readable log of many processes: each line with its time, who said it, and how grave it is."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import click

LEVEL = re.compile(r"\s*(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b[:\s]\s*", re.IGNORECASE)
COLOURS = ("cyan", "magenta", "green", "blue", "bright_cyan", "bright_magenta", "bright_green", "bright_blue")
GRAVE = {"warning": "yellow", "error": "red", "critical": "red"}
WIDTH = 18
LONGEST = 64 * 1024


class Log:
    """Writes lines to a terminal, in colours, or plainly to anything else. A reader that went away is no error."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._colour = out.isatty()
        self._colours: dict[str, str] = {}

    def say(self, line: str, *, level: str = "info", name: str = "up") -> None:
        """One line; a level that the line itself begins with goes before `level`."""
        if found := LEVEL.match(line):
            level, line = found[1].lower(), line[found.end() :]
        moment = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        shown = click.style(f"{short(name):<{WIDTH}}", fg=colour)
        self.write(f"{moment} {shown} {click.style(f'{level:<8}', fg=GRAVE.get(level))} {line}")

    def write(self, text: str) -> None:
        """Text as it is."""
        try:
            click.echo(text, file=self._out, color=self._colour)
        except (BrokenPipeError, ValueError):
            self._out = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123


class Lines:
    """Cuts what one process prints into lines and says them."""

    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name
        self._rest = b""
        self._level = "info"
        self._traceback = False

    def feed(self, data: bytes) -> None:
        """More of what it printed, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._say(line)

    def end(self) -> None:
        """It prints no more."""
        if self._rest:
            self._say(self._rest)
        self._rest = b""

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if not text:
            return
        # Indented lines go with the one before them; a traceback ends with its first line that is not indented.
        if not text[0].isspace():
            found = LEVEL.match(text)
            begins = text.startswith("Traceback")
            self._level = found[1].lower() if found else "error" if begins or self._traceback else "info"
            self._traceback = begins
        self._log.say(text, level=self._level, name=self._name)


class Tail:
    """Follows the log files of a folder: what is added to them, and files that appear."""

    def __init__(self, folder: Path, log: Log, *, now: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._log = log
        self._now = now
        self._due = 0.0
        # What was printed before is old: it was shown by whoever ran then.
        self._read: dict[Path, int] = {path: path.stat().st_size for path in self._files()}
        self._lines: dict[Path, Lines] = {}

    def follow(self, *, every: float = 0.25) -> None:
        """Say what is new, at most once in `every` seconds."""
        if every and self._now() < self._due:
            return
        self._due = self._now() + every
        for path in self._files():
            self._follow(path)

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("*.log")

    def _follow(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                begin = self._read.get(path, 0)
                file.seek(begin if begin <= size else 0)
                data = file.read()
                self._read[path] = file.tell()
        except OSError:
            return
        if data:
            self._lines.setdefault(path, Lines(self._log, path.stem)).feed(data)


def short(name: str) -> str:
    """The name, its middle left out where it is too long for its column."""
    return name if len(name) <= WIDTH else f"{name[: WIDTH // 2 - 1]}…{name[-(WIDTH - WIDTH // 2) :]}"
