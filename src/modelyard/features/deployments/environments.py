"""The computing environments there are. Administrators' own come with billing."""

from modelyard.core.errors import NotFound
from modelyard.protocol.processes import Limits

GIB = 1 << 30
ENVIRONMENTS = {
    "small": Limits(cpus=1, memory=4 * GIB),
    "large": Limits(cpus=4, memory=16 * GIB),
}


def limits_of(name: str) -> Limits:
    """What a replica in this environment may use. Raises NotFound, naming the ones there are."""
    if name not in ENVIRONMENTS:
        raise NotFound(f"There is no environment {name!r}. Choose one of: {', '.join(ENVIRONMENTS)}.")
    return ENVIRONMENTS[name]
