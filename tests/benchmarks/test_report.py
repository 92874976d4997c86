"""The report says what was found: medians, ratios, refusals, failures; its page and plot can be read."""

from xml.etree import ElementTree as ET

from benchmarks.load.generator import Result
from benchmarks.serving import chart, report
from benchmarks.serving.ours import Ours
from benchmarks.serving.peers.fastapi import FastApi
from benchmarks.serving.peers.nginx import Nginx
from benchmarks.serving.run import LOADS, Found


def result(rate, *, p50=1.0, busy=0, wrong=0):
    return Result(
        at=0, elapsed=2.0, seconds=1.0, measured=rate, p50=p50, p99=9.0, acknowledged=rate, wrong=wrong, busy=busy,
        lost=0, unconnected=0, unreadable=0, by_answer=(rate,), others={},
    )  # fmt: skip


def found(*rates, **more):
    return Found({name: [result(rate, **more) for rate in rates] for name in LOADS}, [1.0, 3.0, 2.0], [50.0])


def test_figures_are_medians_and_ratios_those_of_medians():
    ours, peer = Ours("isolated"), FastApi("tuned")
    made = report.Report([ours, peer], {ours.name: found(10, 3000, 2000), peer.name: found(1000, 500, 900)}, {}, {})
    figures, ratios = made.figures().splitlines(), made.ratios(ours).splitlines()
    assert "2,000 (1.00)" in figures[2]
    assert "900 (1.00)" in figures[3]
    assert "| 2.0 " in figures[2]
    assert len(ratios) == 3
    assert ratios[2].count("2.2 ×") == len(LOADS)
    assert "Every answer was right." in made.text()


def test_refusals_stand_beside_answers_and_failures_apart():
    peer = FastApi("tuned")
    made = report.Report([peer], {peer.name: found(100, busy=8, wrong=2)}, {}, {})
    assert "100 (1.00) + 4 × 503" in made.figures()
    assert f"{2 * len(LOADS)} wrong" in made.figures()
    assert made.wrong == 2 * len(LOADS)
    assert "WRONG" in made.text()


def test_figures_that_prove_little_say_so(monkeypatch):
    monkeypatch.setattr(report.os, "getloadavg", lambda: (50.0, 1.0, 1.0))
    busy, few = report.doubts(rounds=1)
    assert "busy" in busy
    assert "1 of 3 rounds" in few
    monkeypatch.setattr(report.os, "getloadavg", lambda: (0.0, 1.0, 1.0))
    assert report.doubts(rounds=3) == []
    peer = FastApi("tuned")
    made = report.Report([peer], {peer.name: found(5)}, {}, {}, [busy])
    assert busy in made.page()
    assert busy in made.text()


def test_who_took_no_part_is_named_with_its_reason():
    limit = Nginx()
    made = report.Report([limit], {limit.name: found(5)}, {"ray": "ray cannot be installed: no network"}, {})
    assert "no network" in made.text()
    assert "ray took no part" in made.page()
    assert [line for line in made.page().splitlines() if line.startswith("# ")] == ["# Benchmarks"]


def test_the_plot_has_a_dot_for_each_load_further_right_for_more():
    drawn = ET.fromstring(chart.dots({"a<b": {"c=1": 10.0, "c=16": 1000.0}, "none": {"c=1": 0.0, "c=16": 50.0}}))
    dots = [dot for dot in drawn.iter("{http://www.w3.org/2000/svg}circle") if dot.find("{*}title") is not None]
    places = {dot.findtext("{*}title"): float(dot.get("cx")) for dot in dots}
    assert set(places) == {"a<b, c=1: 10/s", "a<b, c=16: 1,000/s", "none, c=16: 50/s"}
    assert places["a<b, c=1: 10/s"] < places["none, c=16: 50/s"] < places["a<b, c=16: 1,000/s"]
