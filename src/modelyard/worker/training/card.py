"""The model card, in Markdown: written from the same structures as `metrics.json`, so that its numbers are those."""

from collections.abc import Iterable, Sequence

from modelyard.algorithms.scenarios.base import Scenario
from modelyard.protocol.artifact import Artifact
from modelyard.protocol.evaluation import Evaluation, Metric
from modelyard.protocol.jobs import TrainSpec
from modelyard.protocol.signature import Field, Signature

MOST_LISTED = 10
TITLES = {
    "roc_auc": "ROC AUC", "average_precision": "Average precision", "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy", "f1": "F1", "log_loss": "Log loss",
    "rmse": "RMSE", "mae": "MAE", "r2": "R²", "mape": "MAPE",
    "precision": "Precision", "recall": "Recall", "flagged_share": "Share flagged",
    "mase": "MASE", "smape": "sMAPE", "interval_coverage": "Share within the interval",
    "grouping_accuracy": "Grouping accuracy", "coverage": "Share matched",
}  # fmt: skip


def write_card(
    spec: TrainSpec, scenario: Scenario, signature: Signature, artifact: Artifact, evaluation: Evaluation,
    dropped: dict[str, str],
) -> str:  # fmt: skip
    """The whole card."""
    headline = evaluation.headline
    sections = [
        f"# {spec.model}",
        _purpose(spec, scenario, signature, artifact),
        f"**{TITLES[headline.name]} {headline.value:g}** on {evaluation.rows['test']} {scenario.rows} "
        f"{scenario.held_out} "
        f"(95 % interval {headline.lower:g} to {headline.upper:g}; without a model {headline.baseline:g}).",
        *_listed("Warnings", evaluation.warnings),
        "## Metrics",
        _table(("metric", "value", "95 % from", "to", "baseline", "better"), map(_metric, evaluation.metrics)),
        f"Intervals are bootstrap percentiles. The baseline answers {scenario.baseline_is}.",
        "## Candidates",
        _table(
            ("algorithm", f"{TITLES[evaluation.primary]} on validation {scenario.rows}", "seconds", "chosen", "note"),
            (
                (one.algorithm, _number(one.validation), f"{one.fit_seconds:g}", "yes" if one.chosen else "", one.note)
                for one in evaluation.candidates
            ),
        ),
        *_listed("Why these", spec.reasons),
        "## Data",
        _data(spec, scenario, signature, evaluation),
        _table(("column", "kind", "missing", "seen in training"), map(_field, signature.inputs)),
        *_dropped(dropped),
        *_importance(evaluation),
        "## Serving",
        _serving(artifact, evaluation),
        "## Rebuild",
        "`python train.py training.csv` makes the same model again from the release's training table, "
        "with the packages in `requirements.lock`.",
    ]
    return "\n\n".join(sections) + "\n"


def _purpose(spec: TrainSpec, scenario: Scenario, signature: Signature, artifact: Artifact) -> str:
    lines = [f"{scenario.does(signature)} with {artifact.algorithm}, trained on {spec.release}."]
    if spec.intent:
        lines.append(f"Asked for: “{spec.intent}”.")
    if signature.classes:
        asked = f"; the question is about `{signature.positive}`" if signature.positive else ""
        lines.append(f"Classes: {', '.join(f'`{name}`' for name in signature.classes)}{asked}.")
    return " ".join(lines)


def _data(spec: TrainSpec, scenario: Scenario, signature: Signature, evaluation: Evaluation) -> str:
    rows = evaluation.rows
    return (
        f"{rows['training']} {scenario.rows} to learn from, {rows['validation']} to decide by, "
        f"{rows['test']} to judge by "
        f"(release {spec.release}, seed {spec.seed}). What is served was learned from the first two together. "
        f"{len(signature.inputs)} columns are used."
    )


def _serving(artifact: Artifact, evaluation: Evaluation) -> str:
    parts = [f"Format {artifact.format}."]
    if evaluation.parity is not None:
        parts.append(
            f"Largest relative difference to the training pipeline on all held-out rows: {evaluation.parity:g}."
        )
    if artifact.micros_32_rows is not None:
        parts.append(f"A call for 32 rows takes {artifact.micros_32_rows:g} µs.")
    if artifact.isolated:
        parts.append("Holds code, so that it is only loaded inside a sandbox.")
    return " ".join(parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _metric(metric: Metric) -> tuple[str, ...]:
    numbers = (f"{value:g}" for value in (metric.value, metric.lower, metric.upper, metric.baseline))
    return (TITLES[metric.name], *numbers, metric.direction)


def _field(field: Field) -> tuple[str, ...]:
    seen = ""
    if field.minimum is not None and field.maximum is not None:
        seen = f"{field.minimum:g} to {field.maximum:g}"
    if field.categories:
        shown = ", ".join(_cell(value or "(missing)") for value in field.categories[:MOST_LISTED])
        more = len(field.categories) - MOST_LISTED
        seen = f"{shown} and {more} more" if more > 0 else shown
    return (_cell(field.name), field.kind, f"{field.missing:.1%}", seen)


def _dropped(dropped: dict[str, str]) -> list[str]:
    return _listed("Columns left out", [f"`{name}`: {reason}" for name, reason in dropped.items()])


def _importance(evaluation: Evaluation) -> list[str]:
    if not evaluation.importance:
        return []
    ranked = list(evaluation.importance.items())[: 2 * MOST_LISTED]
    return [
        "## What matters",
        f"How much worse {TITLES[evaluation.primary]} gets when a column is shuffled.",
        _table(("column", "by"), ((_cell(name), f"{value:g}") for name, value in ranked)),
    ]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
