"""Recipe: from tables to one version.

The platform splits, hides the test labels, chooses and judges; algorithms only learn, and only inside the sandbox. The
version folder (protocol/artifact.py) appears in the object store whole: SHA256SUMS comes last, and a run that fails or
is stopped takes away what it wrote. Each attempt writes below its own token, so that a worker that lost its lease
disturbs nobody.
"""

import platform
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from modelyard.algorithms import registry, scoring
from modelyard.core.errors import NotFound
from modelyard.formats import folder as folders
from modelyard.formats.base import RequestPredictor
from modelyard.formats.codec import Codec, answer_example, options_schema
from modelyard.protocol.artifact import CARD, CHECKSUMS, METRICS, SIGNATURE, Artifact
from modelyard.protocol.evaluation import Evaluation
from modelyard.protocol.jobs import CandidateSpec, LogLine, Progress, TrainSpec
from modelyard.protocol.signature import Signature
from modelyard.worker.context import JobContext, Recipe
from modelyard.worker.failures import failed
from modelyard.worker.training import evaluation, loading, rebuild, serving
from modelyard.worker.training.candidates import Tried
from modelyard.worker.training.card import write_card
from modelyard.worker.training.choosing import Choosing, Tries
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
        metric = evaluation.primary_metric(loaded, self.spec.metric)
        tries = Choosing(self.context, self.spec, loaded, metric, (LOADED, LEARNED), self._previous()).result()
        best = tries.best
        self._progress("judging on the test rows", LEARNED)
        prepared = loaded.prepared
        self.folder.mkdir(parents=True)
        served = serving.serve(
            self.context, best, prepared.signature, prepared.parts.test.rows, self._described(best), self.folder,
            fraction=LEARNED,
        )  # fmt: skip
        verdict = self._verdict(loaded, metric, tries, served)
        since = loaded.scenario.since(prepared)
        if since is not None and isinstance(served.predictor, RequestPredictor):
            served = replace(served, predictor=served.predictor.extended(since, self.folder))
        signature = self._complete(loaded, served)
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
        prepared, parts = loaded.prepared, loaded.prepared.parts
        self._log(
            f"{len(parts.training.labels):,} training, {len(parts.validation.labels):,} validation and "
            f"{len(parts.test.labels):,} test {loaded.scenario.rows}; {len(prepared.signature.inputs)} columns."
        )
        for name, reason in prepared.dropped.items():
            self._log(f"Column {name!r} is left out: {reason}.")
        for warning in prepared.warnings:
            self._log(warning)

    def _previous(self) -> Path | None:
        """The folder of the version to go on from, which holds nothing but data. Raises JobFailed."""
        if self.spec.previous is None:
            return None
        folder = self.context.scratch / "previous"
        for found in self.context.objects.list(self.spec.previous):
            key = found.key
            path = folder / key.removeprefix(f"{self.spec.previous}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.context.objects.download(key, path)
        if folders.read_artifact(folder).isolated:
            raise failed("holds_code", "The version to go on from holds code, and is not gone on from. Train anew.")
        return folder

    def _described(self, best: Tried) -> Artifact:
        return Artifact(
            format=best.fitted.format,
            scenario=self.spec.scenario,
            algorithm=best.spec.algorithm,
            parameters=_full(best.spec),
            created_with={"python": platform.python_version(), **rebuild.versions()},
        )

    def _verdict(self, loaded: Loaded, metric: str, tries: Tries, served: Served) -> Evaluation:
        scenario, prepared, seed = loaded.scenario, loaded.prepared, self.spec.seed
        parts, judge = prepared.parts, scenario.judge(prepared, "test")
        labels = parts.test.labels
        answers = scenario.answers(prepared, served.predict, tries.best.test)
        rows = {name: len(getattr(parts, name).labels) for name in ("training", "validation", "test")}
        verdict = Evaluation(
            primary=metric,
            metrics=scoring.measured(judge, labels, answers, scenario.baseline(prepared), seed),
            rows=rows,
            candidates=tries.listed,
            parity=float(f"{served.parity:.3g}"),
            importance=self._importance(loaded, judge, metric, served),
            warnings=(
                *prepared.warnings,
                *tries.warnings,
                *served.warnings,
                *scenario.suspicion(prepared, answers),
            ),
        )
        for name, detail in scenario.details(prepared, answers, served.predictor).items():
            folders.write(self.folder / "evaluation" / f"{name}.json", detail)
        if verdict.importance:
            folders.write(self.folder / "evaluation" / "importance.json", verdict.importance)
        return verdict

    def _importance(self, loaded: Loaded, judge: scoring.Judge, metric: str, served: Served) -> dict[str, float]:
        if not loaded.scenario.columns_matter:
            return {}
        prepared = loaded.prepared
        rows, labels = prepared.parts.test
        return evaluation.importance(served.predict, judge, metric, prepared.signature, rows, labels, self.spec.seed)

    def _complete(self, loaded: Loaded, served: Served) -> Signature:
        """The signature with what the version answers to its example."""
        signature, request = loaded.prepared.signature, loaded.scenario.request(loaded.prepared)
        if isinstance(served.predictor, RequestPredictor):
            answer = answer_example(served.predictor, request)
            return msgspec.structs.replace(
                signature, example_request=request, example_answer=answer, options=options_schema(served.predictor)
            )
        listed = request.get("instances")
        signature = msgspec.structs.replace(signature, example=listed[0] if isinstance(listed, list) else request)
        codec = Codec(signature)
        batch = codec.decode_json(msgspec.json.encode(signature.example)).batch
        return msgspec.structs.replace(signature, example_answer=codec.answers(served.predict(batch))[0])

    def _write(self, loaded: Loaded, best: Tried, signature: Signature, served: Served, verdict: Evaluation) -> None:
        self._progress("writing the version", JUDGED)
        folders.write(self.folder / SIGNATURE, signature)
        folders.write(self.folder / METRICS, verdict)
        card = write_card(self.spec, loaded.scenario, signature, served.artifact, verdict, loaded.prepared.dropped)
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


def _full(spec: CandidateSpec) -> dict[str, object]:
    """The parameters with defaults filled in: what train.py needs once defaults have changed."""
    filled: dict[str, object] = (
        registry.get(spec.algorithm).Parameters.model_validate(spec.parameters).model_dump(mode="json")
    )
    return filled
