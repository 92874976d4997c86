"""Lets tests use a client that lives in another environment: a call is a line of JSON, so is what it returned."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any


def answer_calls(calls: Mapping[str, Callable[..., Any]]) -> None:
    """Make the calls that come in on stdin, until it ends."""
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"returned": calls[name](**arguments)}
        except Exception as error:
            answer = {"raised": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
