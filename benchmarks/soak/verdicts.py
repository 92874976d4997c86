"""What has to hold at the end: a line for each, and whether it does."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.load.generator import Result
from benchmarks.soak.chores import Done
from benchmarks.soak.memory import Life

GATEWAY = "kill -9 a gateway"
KILLS = "kill -9"
BEFORE_SECONDS, AFTER_SECONDS = 1.5, 3.0
"""Around a chore; reports of the load come once a second."""


class Verdict(NamedTuple):
    """One line."""

    holds: bool
    text: str


def judge(
    reports: Sequence[Result],
    done: Sequence[Done],
    lives: Iterable[Life],
    recorded: Mapping[int, int] | str,
) -> list[Verdict]:
    """All verdicts. `recorded` are usage records of status 200 by version, or why there are none."""
    last = reports[-1]
    return [
        Verdict(
            last.acknowledged > 0, f"{last.acknowledged:,} answers, {last.acknowledged / last.elapsed:,.0f} a second"
        ),
        Verdict(last.wrong == 0, f"wrong answers: {last.wrong}"),
        Verdict(not last.others, f"answers of other statuses: {last.others or 0}"),
        Verdict(last.unreadable == 0, f"answers that could not be read: {last.unreadable}"),
        _around("503 with Retry-After", "busy", reports, done, KILLS),
        _around("lost connections", "lost", reports, done, GATEWAY),
        _around("refused connections", "unconnected", reports, done, GATEWAY),
        *_chores(done),
        *_memory(lives),
        usage(last, recorded),
    ]


def usage(last: Result, recorded: Mapping[int, int] | str) -> Verdict:
    """Whether as many calls were recorded as were acknowledged.

    A gateway that was killed may have recorded answers that it did not get to send: one on each lost connection.
    """
    if isinstance(recorded, str):
        return Verdict(False, f"usage: {recorded}")
    total = sum(recorded.values())
    more = total - last.acknowledged
    by_version = ", ".join(
        f"v{version}: {recorded.get(version, 0):,} of {answers:,}"
        for version, answers in enumerate(last.by_answer, 1)
        if answers or recorded.get(version)
    )
    never_less = all(recorded.get(version, 0) >= answers for version, answers in enumerate(last.by_answer, 1))
    counts = f"{total:,} calls recorded, {last.acknowledged:,} acknowledged, {last.lost} lost on the way"
    return Verdict(never_less and 0 <= more <= last.lost, f"usage: {counts} ({by_version})")


def _around(name: str, counter: str, reports: Sequence[Result], done: Sequence[Done], excused: str) -> Verdict:
    """Whether a count grew only around chores whose names begin with `excused`; where it did is said."""
    elsewhere, places = 0, dict[str, int]()
    before = 0
    for report in reports:
        grown = getattr(report, counter) - before
        before += grown
        if not grown:
            continue
        near = [
            chore.name for chore in done if chore.begun - BEFORE_SECONDS <= report.at <= chore.ended + AFTER_SECONDS
        ]
        place = next((chore for chore in near if chore.startswith(excused)), near[0] if near else "nothing")
        places[place] = places.get(place, 0) + grown
        elsewhere += 0 if place.startswith(excused) else grown
    where = ", ".join(f"{count} around {place}" for place, count in places.items())
    return Verdict(elsewhere == 0, f"{name}: {before}{f' ({where})' if where else ''}")


def _chores(done: Sequence[Done]) -> list[Verdict]:
    trouble: dict[str, str] = {chore.name: chore.trouble for chore in done if chore.trouble}
    counted = Verdict(bool(done), f"{len(done)} chores done, {sum(bool(chore.trouble) for chore in done)} with trouble")
    return [counted, *(Verdict(False, f"{name}: {text}") for name, text in trouble.items())]


def _memory(lives: Iterable[Life]) -> list[Verdict]:
    judged = [life for life in lives if life.judged]
    if not judged:
        return [Verdict(True, "memory: no process lived for two minutes, so none was judged")]
    return [
        Verdict(
            life.flat,
            f"memory of a {life.role}, {len(life.samples) * 5 // 60} min: "
            f"{life.levels[0]:.0f} → {life.levels[1]:.0f} MiB, {life.slope:+.2f} MiB/min",
        )
        for life in sorted(judged, key=lambda life: (life.role, -len(life.samples)))
    ]
