"""Small recipes, installed for real worker processes by putting this folder on their path."""

import errno
import sys
import time

from modelyard.core.errors import Invalid
from modelyard.protocol.jobs import Failure, LogLine, MetricPoint, Progress
from modelyard.worker.context import Recipe
from modelyard.worker.failures import JobFailed


class Greet(Recipe):
    """Reports one of each, going back once, and answers."""

    def run(self, context):
        context.report(Progress(phase="reading", fraction=0.5))
        context.report(Progress(phase="again", fraction=0.2))
        context.report(LogLine(line="hello\0\x1b[2Jthere", at=1.0, stream="platform"))
        context.report(MetricPoint(name="loss", step=1, value=0.25, at=2.0))
        context.objects.put("answers/one", b"1")
        (context.scratch / "table").write_text("x")
        return {"greeting": context.spec.payload["greeting"], "scratch": str(context.scratch)}


class ShutIn(Recipe):
    """Runs a Python program in the sandbox."""

    def run(self, context):
        work = context.scratch / "work"
        work.mkdir()
        argv = [sys.executable, "-c", context.spec.payload["program"], *context.spec.payload.get("arguments", [])]
        context.run_shut_in(argv, work=work, span=tuple(context.spec.payload.get("span", (0.0, 1.0))))
        return {"files": sorted(path.name for path in work.iterdir())}


class BuiltIn(ShutIn):
    """The same, of code that came with the platform."""

    builtin = True


class Busy(Recipe):
    """Deep in a library that does not come back."""

    def run(self, context):
        context.report(Progress(phase="busy", fraction=0.1))
        time.sleep(1000)


class Raise(Recipe):
    """Ends in one of the ways in which a recipe may end badly."""

    def run(self, context):
        raise {
            "job": JobFailed(Failure(code="no_rows", message="There are no rows.", detail={"rows": 0})),
            "platform": Invalid("The target is missing.", fields=[{"field": "target", "message": "missing"}]),
            "disk": OSError(errno.ENOSPC, "No space left on device"),
            "bug": RuntimeError("hunter2 leaked"),
        }[context.spec.payload["how"]]


class Chatty(Recipe):
    """Reports as long as it is let."""

    def run(self, context):
        for step in range(10_000):
            context.report(MetricPoint(name="loss", step=step, value=float(step), at=time.time()))
            time.sleep(0.01)
        return {}
