"""Recipe: from tables to one version.

The platform splits, hides the test labels, chooses and judges; algorithms only learn, and only inside the sandbox. The
version folder (protocol/artifact.py) appears in the object store whole: SHA256SUMS comes last, and a run that fails or
is stopped takes away what it wrote. Each attempt writes below its own token, so that a worker that lost its lease
disturbs nobody.
"""

import platform
import shutil
import time
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from modelyard.algorithms import registry, scoring
from modelyard.core.errors import NotFound
from modelyard.formats import folder as folders
from modelyard.formats.codec import Codec
from modelyard.protocol.artifact import CARD, CHECKSUMS, METRICS, SIGNATURE, Artifact
from modelyard.protocol.evaluation import Candidate, Evaluation
from modelyard.protocol.jobs import CandidateSpec, LogLine, Progress, TrainSpec
from modelyard.protocol.signature import Signature
from modelyard.worker.context import JobContext, Recipe
from modelyard.worker.failures import JobFailed, failed
from modelyard.worker.training import candidates, evaluation, loading, rebuild, serving
from modelyard.worker.training.candidates import Tried
from modelyard.worker.training.card import write_card
from modelyard.worker.training.loading import Loaded
from modelyard.worker.training.serving import Served

LOADED, LEARNED, JUDGED = 0.05, 0.8, 0.95
"""How far a job is after each step."""


class Train(Recipe):
    """Tries every candidate of a TrainSpec and makes a version of the best."""

    def run(self, context: JobContext) -> dict[str, Any]:
        spec = msgspec.convert(context.spec.payload, TrainSpec)
        return _Run(context, spec).result()


class _Run:
    """One run; what its steps share."""

    def __init__(self, context: JobContext, spec: TrainSpec) -> None:
        self.context = context
        self.spec = spec
        self.folder = context.scratch / "version"
        self.output = f"{spec.output}/{context.spec.token}"

    def result(self) -> dict[str, Any]:
        """Load, try, choose, judge, write."""
        self._check_candidates()
        self._progress("loading the tables", 0.0)
        loaded = loading.load(self.spec, self.context.objects, self.context.scratch / "tables")
        self._say_what_was_loaded(loaded)
        question = evaluation.question_of(loaded.signature)
        metric = evaluation.primary_metric(question, self.spec.metric, loaded)
        tries = self._try_all(loaded, question, metric)
        best = tries.best
        self._progress("judging on the test rows", LEARNED)
        test = loaded.parts.test.table.batch(loaded.signature.inputs)
        self.folder.mkdir(parents=True)
        served = serving.serve(
            self.context, best, loaded.signature, test, self._described(best), self.folder, fraction=LEARNED
        )
        verdict = self._verdict(loaded, question, metric, tries, served)
        signature = self._complete(loaded.signature, served)
        self._write(loaded, best, signature, served, verdict)
        return self._upload(signature, served.artifact, verdict)

    def _check_candidates(self) -> None:
        if not self.spec.candidates:
            raise failed("no_candidates", "No algorithm was named. Name at least one.")
        for candidate in self.spec.candidates:
            try:
                _full(candidate)
            except NotFound as error:
                raise failed("unknown_algorithm", error.message) from error
            except ValidationError as error:
                wrong = error.errors()[0]
                place = ".".join(map(str, wrong["loc"]))
                message = (
                    f"{candidate.algorithm} cannot be set so: {place}: {wrong['msg']}. Correct it and start again."
                )
                raise failed("bad_parameters", message, field=place) from error
            if not candidate.algorithm.startswith(f"{self.spec.scenario}/"):
                raise failed("wrong_scenario", f"{candidate.algorithm} is no algorithm for {self.spec.scenario}.")

    def _say_what_was_loaded(self, loaded: Loaded) -> None:
        parts = loaded.parts
        self._log(
            f"{len(parts.training.labels):,} training, {len(parts.validation.labels):,} validation and "
            f"{len(parts.test.labels):,} test rows; {len(loaded.signature.inputs)} columns."
        )
        for name, reason in loaded.dropped.items():
            self._log(f"Column {name!r} is left out: {reason}.")
        for warning in loaded.warnings:
            self._log(warning)

    def _try_all(self, loaded: Loaded, question: scoring.Question, metric: str) -> "_Tries":
        """Every candidate in turn. Raises the last one's JobFailed where none learns."""
        specs = self.spec.candidates
        share = (LEARNED - LOADED) / len(specs)
        learned: list[Tried] = []
        failures: list[tuple[str, JobFailed]] = []
        begun = time.monotonic()
        for number, (spec, name) in enumerate(zip(specs, candidates.names_of(specs), strict=True)):
            if learned and self.spec.seconds is not None and time.monotonic() - begun > self.spec.seconds:
                self._log(f"{name}: not tried, the budget of {self.spec.seconds:g} s is used up.")
                continue
            span = (LOADED + number * share, LOADED + (number + 1) * share)
            try:
                found = candidates.attempt(
                    self.context, loaded, spec, name, question=question, metric=metric, seed=self.spec.seed, span=span
                )
            except JobFailed as error:
                self._log(f"{name}: {error.failure.message}")
                failures.append((spec.algorithm, error))
            else:
                self._log(f"{name}: {metric} {found.validation:g} on the validation rows.")
                learned.append(found)
        if not learned:
            raise failures[-1][1]
        best = learned[0]
        for other in learned[1:]:
            best = other if scoring.better(metric, other.validation, best.validation) else best
        warnings = tuple(f"{name} did not learn: {error.failure.message}" for name, error in failures)
        return _Tries(best, tuple(_candidate(one, best) for one in learned), warnings)

    def _described(self, best: Tried) -> Artifact:
        return Artifact(
            format=best.fitted.format,
            scenario=self.spec.scenario,
            algorithm=best.spec.algorithm,
            parameters=_full(best.spec),
            created_with={"python": platform.python_version(), **rebuild.versions()},
        )

    def _verdict(
        self, loaded: Loaded, question: scoring.Question, metric: str, tries: "_Tries", served: Served
    ) -> Evaluation:
        parts, signature, seed = loaded.parts, loaded.signature, self.spec.seed
        labels, answers = parts.test.labels, tries.best.test
        test = parts.test.table.batch(signature.inputs)
        trivial = scoring.trivial(question, parts.training.labels)
        rows = {name: len(getattr(parts, name).labels) for name in ("training", "validation", "test")}
        verdict = Evaluation(
            primary=metric,
            metrics=scoring.measured(question, labels, answers, trivial, seed),
            rows=rows,
            candidates=tries.listed,
            parity=float(f"{served.parity:.3g}"),
            importance=evaluation.importance(served.predict, question, metric, signature, test, labels, seed),
            warnings=(
                *loaded.warnings,
                *tries.warnings,
                *served.warnings,
                *evaluation.suspicion(question, labels, answers),
            ),
        )
        for name, detail in evaluation.details(question, signature, labels, answers).items():
            folders.write(self.folder / "evaluation" / f"{name}.json", detail)
        folders.write(self.folder / "evaluation" / "importance.json", verdict.importance)
        return verdict

    def _complete(self, signature: Signature, served: Served) -> Signature:
        """The signature with what the version answers to its example."""
        codec = Codec(signature)
        batch = codec.decode_json(msgspec.json.encode(signature.example)).batch
        return msgspec.structs.replace(signature, example_answer=codec.answers(served.predict(batch))[0])

    def _write(self, loaded: Loaded, best: Tried, signature: Signature, served: Served, verdict: Evaluation) -> None:
        self._progress("writing the version", JUDGED)
        folders.write(self.folder / SIGNATURE, signature)
        folders.write(self.folder / METRICS, verdict)
        card = write_card(self.spec, signature, served.artifact, verdict, loaded.dropped)
        (self.folder / CARD).write_text(card, encoding="utf-8")
        chosen = CandidateSpec(algorithm=best.spec.algorithm, parameters=served.artifact.parameters)
        (self.folder / "train.py").write_text(
            rebuild.script(self.spec, chosen, loaded, verdict.primary), encoding="utf-8"
        )
        (self.folder / "requirements.lock").write_text(rebuild.lock(), encoding="utf-8")

    def _upload(self, signature: Signature, artifact: Artifact, verdict: Evaluation) -> dict[str, Any]:
        checksum = folders.write_checksums(self.folder)
        entries = sorted(folders.entries(self.folder), key=lambda entry: (entry.path == CHECKSUMS, entry.path))
        try:
            for number, entry in enumerate(entries):
                self.context.objects.put(f"{self.output}/{entry.path}", self.folder / entry.path)
                self._progress("storing the version", JUDGED + (1 - JUDGED) * (number + 1) / len(entries))
        except BaseException:
            self.context.objects.delete_all(self.output)
            raise
        shutil.rmtree(self.folder)
        made: dict[str, Any] = msgspec.to_builtins(
            {
                "folder": self.output, "files": entries, "signature": signature, "artifact": artifact,
                "evaluation": verdict, "checksum": checksum,
            }
        )  # fmt: skip
        return made

    def _progress(self, phase: str, fraction: float) -> None:
        self.context.report(Progress(phase=phase, fraction=fraction))

    def _log(self, line: str) -> None:
        self.context.report(LogLine(line=line, at=time.time(), stream="platform"))


class _Tries(NamedTuple):
    """The candidate that was chosen, what is to be said of each that learned, and of those that did not."""

    best: Tried
    listed: tuple[Candidate, ...]
    warnings: tuple[str, ...]


def _full(spec: CandidateSpec) -> dict[str, object]:
    """The parameters with defaults filled in: what train.py needs once defaults have changed."""
    filled: dict[str, object] = (
        registry.get(spec.algorithm).Parameters.model_validate(spec.parameters).model_dump(mode="json")
    )
    return filled


def _candidate(tried: Tried, best: Tried) -> Candidate:
    return Candidate(
        algorithm=tried.spec.algorithm,
        validation=tried.validation,
        fit_seconds=round(tried.fitted.seconds, 2),
        chosen=tried is best,
        note=tried.fitted.reason,
    )
