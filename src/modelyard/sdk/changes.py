"""The requests that change a deployment: `client.deployments` and a `Deployment` itself send the same ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from modelyard.features.deployments import schemas
from modelyard.sdk.calls import delete, post, put
from modelyard.sdk.flow import Request
from modelyard.sdk.models import Version

HeaderRule = tuple[str, str, str] | Mapping[str, str]
"""(header, value, version): requests with that value in the header go to that version."""
Shadows = Mapping[str, int] | Iterable[str]
"""Versions with the share in per cent of the requests that they are asked too; without shares, all of them."""


class CanarySettings(TypedDict, total=False):
    """How a canary goes, as `client.deployments.start_canary` says."""

    steps: Sequence[int]
    step_seconds: float
    least_requests: int
    error_rate: float
    latency_ratio: float


def add(key: str, version: str | Version[Any], weight: int) -> Request:
    """Hold one more version."""
    return post("deployments", key, "models", body={"model": version_path(version), "weight": weight})


def remove(key: str, model: str | Version[Any]) -> Request:
    """Hold a version, or all of a model's, no longer."""
    return delete("deployments", key, "models", version_path(model))


def set_traffic(
    key: str,
    model: str,
    weights: Mapping[str, int] | None,
    headers: Iterable[HeaderRule] | None,
    sticky: str | None,
    shadows: Shadows | None,
) -> Request:
    """Share out a model's traffic."""
    body = {
        "model": model,
        "weights": None if weights is None else dict(weights),
        "headers": None if headers is None else [_rule(rule) for rule in headers],
        "sticky": sticky,
        "shadows": None if shadows is None else _shadows(shadows),
    }
    return put("deployments", key, "traffic", body=body)


def start_canary(key: str, version: str | Version[Any], settings: CanarySettings) -> Request:
    """Give a version a growing share of its model's traffic; what `settings` leaves out the platform decides."""
    body = {"model": version_path(version), **settings}
    return post("deployments", key, "canaries", body=body)


def end_canary(key: str, model: str, *, promote: bool) -> Request:
    """Give a canary's version all of the traffic, or what it had before."""
    return post("deployments", key, "canaries", "end", body={"model": model, "promote": promote})


def rollback(key: str, revision: int | None) -> Request:
    """Make an earlier content the newest again."""
    return post("deployments", key, "rollback", body={"revision": revision})


def recreate(key: str) -> Request:
    """Replace all replicas."""
    return post("deployments", key, "recreate")


def scale(key: str, replicas: int) -> Request:
    """Change the number of replicas."""
    return post("deployments", key, "scale", body={"replicas": replicas})


def set_autoscale(key: str, settings: schemas.Autoscale | Mapping[str, Any] | None) -> Request:
    """Let the number of replicas follow the load, or, with None, leave it as it is from now on."""
    if settings is None:
        return delete("deployments", key, "autoscale")
    body = settings.model_dump() if isinstance(settings, schemas.Autoscale) else dict(settings)
    return put("deployments", key, "autoscale", body=body)


def set_lane(key: str, lane: schemas.Lane) -> Request:
    """Say whether gateways may hold versions themselves."""
    return put("deployments", key, "lane", body={"lane": lane})


def stop(key: str) -> Request:
    """Stop answering."""
    return post("deployments", key, "stop")


def start(key: str) -> Request:
    """Answer again."""
    return post("deployments", key, "start")


def version_path(version: str | Version[Any]) -> str:
    """`prefix/model/vN` of a version, or what was written."""
    return version if isinstance(version, str) else version.path


def _rule(rule: HeaderRule) -> Mapping[str, str]:
    if isinstance(rule, Mapping):
        return rule
    header, value, version = rule
    return {"header": header, "value": value, "version": version}


def _shadows(shadows: Shadows) -> list[dict[str, Any]]:
    shares = shadows if isinstance(shadows, Mapping) else dict.fromkeys(shadows, 100)
    return [{"version": version, "share": share} for version, share in shares.items()]
