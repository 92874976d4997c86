"""The end of a test run: which parts could not be tested here, by name; where all are demanded, that fails the run.

At the root rather than in `tests/`, so that it also holds for a run of a single folder of tests.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

DEMANDED = os.environ.get("MODELYARD_TESTS_REQUIRE_ALL") == "1"  # noqa: TID251 - of the test run, not of the platform
MISSING = os.environ.get("MODELYARD_TESTS_MISSING", "").split()  # noqa: TID251 - see scripts/system-packages


# Outermost, so that this comes last, right above the closing line.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Name each reason for which tests were skipped, and how many tests that concerns."""
    yield
    reasons = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    if not reasons and not MISSING:
        return
    terminalreporter.section("not tested here", red=DEMANDED, yellow=not DEMANDED)
    for package in MISSING:
        terminalreporter.write_line(f"system package {package}: missing, and it could not be installed")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")
    if DEMANDED:
        terminalreporter.write_line("MODELYARD_TESTS_REQUIRE_ALL=1 allows none of this: the run has failed.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that was to skip nothing and did."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    in_worker = hasattr(session.config, "workerinput")
    if DEMANDED and not in_worker and reporter is not None and (MISSING or reporter.getreports("skipped")):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    place = report.longrepr
    return str(place[2]).removeprefix("Skipped: ") if isinstance(place, tuple) else report.nodeid
