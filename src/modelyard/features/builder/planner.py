"""From an intent and a profile to a plan, by rules: a pure function. Every decision names its evidence.

A profile is what the importers make: `{"rows", "columns": [{"name", "kind", "distinct", "missing", "top", …}]}`.
"""

from typing import Any

from modelyard.algorithms import registry as algorithms
from modelyard.features.builder.errors import NothingToPredict, TargetUnclear
from modelyard.features.builder.schemas import Plan, Reason, Task
from modelyard.features.builder.words import match, words_of

CERTAIN = 0.5
CLEARLY_BEFORE = 0.05
FEW_CLASSES = 20
USUAL_TARGETS = frozenset({"target", "label", "class", "outcome", "y"})
YES = ("yes", "true", "1", "y", "t", "positive", "churned", "fraud", "spam", "bad", "default")
CLASSES_ASKED = frozenset(["which", "whether", "classify", "class", "category", "type", "kind", "who", "if"])
Column = dict[str, Any]


def plan(intent: str, profile: dict[str, Any], *, target: str | None = None) -> Plan:
    """How the intent is understood. `target` overrules it.

    Raises TargetUnclear, naming the nearest columns, and NothingToPredict for a target without two values.
    """
    columns: list[Column] = profile["columns"]
    column, reason = _target(intent, columns, target)
    _refuse_constant(column)
    scenario, because = _scenario(intent, column)
    reasons = [reason, Reason(decision="task", value=scenario, because=because)]
    positive = None
    if scenario == "tabular-classification":
        positive, told = _positive(column)
        reasons += told
    drop, told = _drop(columns, column)
    # What needs a package besides may be missing where the build runs.
    names = [name for name in algorithms.names(scenario) if not algorithms.get(name).requires]
    reasons += told
    reasons.append(
        Reason(decision="candidates", value=", ".join(names), because="the best one on validation rows is kept")
    )
    return Plan(
        scenario=scenario, target=column["name"], positive=positive, drop=drop, candidates=names, reasons=reasons
    )


def _target(intent: str, columns: list[Column], wanted: str | None) -> tuple[Column, Reason]:
    by_name = {column["name"]: column for column in columns}
    if wanted is not None:
        if wanted not in by_name:
            raise _unclear(f"The table has no column {wanted!r}.", intent, columns)
        return by_name[wanted], Reason(decision="target", value=wanted, because="it was named")
    quoted = [name for name in by_name if f"'{name}'" in intent or f'"{name}"' in intent or f"`{name}`" in intent]
    if len(quoted) == 1:
        return by_name[quoted[0]], Reason(decision="target", value=quoted[0], because="the intent quotes it")
    scored = sorted(((match(intent, name), name) for name in by_name), reverse=True)
    best, name = scored[0]
    if best >= CERTAIN and (len(scored) == 1 or best - scored[1][0] >= CLEARLY_BEFORE):
        because = f"the intent's words match its name ({best:.0%})"
        return by_name[name], Reason(decision="target", value=name, because=because)
    if best >= CERTAIN:
        rivals = [name for score, name in scored if best - score < CLEARLY_BEFORE]
        raise _unclear(f"The intent may mean {' or '.join(rivals[:4])}.", intent, columns)
    usual = [name for name in by_name if " ".join(words_of(name)) in USUAL_TARGETS]
    if len(usual) == 1:
        return by_name[usual[0]], Reason(
            decision="target", value=usual[0], because="it is what a target is usually called"
        )
    raise _unclear("No column's name is what the intent asks for.", intent, columns)


def _unclear(what: str, intent: str, columns: list[Column]) -> TargetUnclear:
    scored = sorted(((match(intent, column["name"]), column["name"]) for column in columns), reverse=True)
    nearest = [name for _, name in scored[:5]]
    return TargetUnclear(
        f"{what} Name the column to predict, with --target (or `target` in REST). "
        f"The nearest are: {', '.join(nearest)}.",
        detail={"nearest": nearest},
    )


def _refuse_constant(column: Column) -> None:
    if column["distinct"] < 2:
        values = [str(value) for value, _ in column.get("top", ())]
        said = f"only the value {values[0]!r}" if values else "no value at all"
        raise NothingToPredict(
            f"{column['name']} holds {said}: there is nothing to learn. Choose another target or more data."
        )


def _scenario(intent: str, column: Column) -> tuple[Task, str]:
    name, kind, distinct = column["name"], column["kind"], int(column["distinct"])
    if kind not in {"number", "integer"}:
        return "tabular-classification", f"{name} holds {distinct} classes"
    if distinct == 2:
        return "tabular-classification", f"{name} holds two values"
    if kind == "integer" and distinct <= FEW_CLASSES and CLASSES_ASKED & set(words_of(intent)):
        return "tabular-classification", f"{name} holds {distinct} whole numbers and the intent asks for a class"
    return "tabular-regression", f"{name} is a number with {distinct:,} different values"


def _positive(column: Column) -> tuple[str | None, list[Reason]]:
    classes = [str(value) for value, _ in column.get("top", ())]
    if column["distinct"] != 2 or len(classes) != 2:
        return None, []
    affirmed = [value for value in classes if value.lower() in YES]
    if len(affirmed) == 1:
        return affirmed[0], [Reason(decision="positive class", value=affirmed[0], because="it affirms the question")]
    return classes[1], [Reason(decision="positive class", value=classes[1], because="it is the rarer class")]


def _drop(columns: list[Column], target: Column) -> tuple[list[str], list[Reason]]:
    names = [column["name"] for column in columns if column.get("identifier") and column is not target]
    return names, [
        Reason(
            decision="left out", value=name, because="it is different in every row, so it names rows and explains none"
        )
        for name in names
    ]
