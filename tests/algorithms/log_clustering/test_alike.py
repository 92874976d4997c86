"""Messages that look alike: those that differ in a constant word stay apart, those that differ in a value do not."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from modelyard.algorithms.log_clustering._grouping import grouping_accuracy
from modelyard.algorithms.log_clustering.drain import Drain, DrainParameters

STEMS = ("crond", "named", "tank", "squid", "pool9", "httpd", "rpcd", "smbd", "core", "mailer", "vault")

APART = {
    "states at the end": [f"scrub of pool {{s}} {word}" for word in ("started", "paused", "resumed", "finished")],
    "many states": [f"job {{n}} {word}" for word in ("queued", "running", "finished", "cancelled", "suspended")],
    "verbs in the middle": [
        f"daemon {{s}}: failed to {verb} file /var/{{s}}/{{n}}" for verb in ("open", "close", "remove", "rename")
    ],
    "what was done": [f"service {{s}} {word}" for word in ("started", "stopped", "restarted", "reloaded")],
    "sides": [f"{side} ring {word} on sda{{n}}" for side in ("rx", "tx") for word in ("full", "hang")],
    "a number and a word behind an id": ["worker {n} {m}% done", "worker {n} waiting", "writer {n} {m}%"],
    "how far and done": ["upload 0x{n}ff {m}%", "upload 0x{n}ff complete"],
    "siblings behind a colon": [
        f"core: {side} {what}"
        for side in ("left", "right")
        for what in ("buffer overrun repaired", "buffer stall", "offset 0x{n}ff")
    ],
    "quoted and not": ["search 'garden{n} {s}' gave {m} hits", "search by number {n} gave {m} hits"],
}
TOGETHER = {
    "names in few words": "flag {dark_mode|new_feed|fast_start} = {n}",
    "error names": "kernel gave {EIO|ENOSPC|ESTALE|EROFS} for /var/{s}/{n}",
    "protocols": "acl {n} dropped {tcp|udp|icmp} packets ({m} bytes)",
    "reasons of different lengths": "amplifier {n} tripped: {overheat|reflected power|interlock}",
    "names of different lengths": "door of {hut|dome|rack room} shut by {s}",
    "pairs in any order": "new rules are {a=1; b=2|b=2; a=1|a=1|b=2|c=7; b=2; a=1}",
    "maps in brackets": "node {n} labels=map[{a:x|b:y a:x|c:z a:x|a:x c:z b:y|b:y|c:z|c:z b:y}]",
    "lists with arrows": (
        "next schedule {n}: {lark > tern|tern > kite|kite > gull|gull > lark|lark > kite > gull|gull > tern > lark|"
        "kite > lark > tern|tern > gull > kite}"
    ),
    "a remark": "logs of pod {n} are read by {s}{ (follow)|}",
    "letters": "link to {s} {A|B} measured: {n} kbit in {m} ms",
}
OTHERS = ("timer fired after {n} ms", "no lease left for {s} at {n}", "disk sda{n} is {m}% full", "bye {s}")


def written(templates: Sequence[str], seed: int, count: int = 400) -> tuple[list[str], np.ndarray]:
    """Lines of these templates and of others that do not matter, and the place of each line's template."""
    r = random.Random(seed)
    everything = (*templates, *OTHERS)
    lines, truth = [], []
    for _ in range(count):
        place = r.randrange(len(everything))
        text = everything[place]
        for name, values in (("s", STEMS), ("n", range(10, 9000)), ("m", range(1, 99))):
            while f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", str(r.choice(values)), 1)
        start, brace, rest = text.partition("{")
        choices, _, end = rest.partition("}")
        lines.append(
            f"2022-05-04 10:00:{r.randrange(60):02} {start}{r.choice(choices.split('|')) if brace else ''}{end}"
        )
        truth.append(place)
    return lines, np.array(truth)


def accuracy(report, data, batch, templates: Sequence[str], seed: int) -> float:
    lines, truth = written(templates, seed)
    trained = Drain().fit(data(lines), DrainParameters(), report)
    return grouping_accuracy(truth, trained.predict(batch(lines))[:, 0].astype(int))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", APART)
def test_messages_with_another_constant_word_stay_apart(report, data, batch, case: str, seed: int) -> None:
    assert accuracy(report, data, batch, APART[case], seed) == 1


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", TOGETHER)
def test_messages_with_another_value_are_one(report, data, batch, case: str, seed: int) -> None:
    assert accuracy(report, data, batch, [TOGETHER[case]], seed) == 1
