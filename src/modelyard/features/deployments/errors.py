"""What can go wrong with deployments."""

from modelyard.core.errors import Conflict, Invalid, NotFound


class KeyTaken(Conflict):
    """Another deployment has this key."""

    code = "key_taken"


class BadTraffic(Invalid):
    """Weights that do not make 100, or rules that contradict them."""

    code = "bad_traffic"


class NotDeployed(Conflict):
    """A model or version that this deployment does not hold."""

    code = "not_deployed"


class NeedsTraffic(Conflict):
    """The version to be taken out has all of its model's traffic."""

    code = "needs_traffic"


class CannotRollBack(Conflict):
    """There is no earlier content, or it cannot be had any more."""

    code = "cannot_roll_back"


class CanaryRunning(Conflict):
    """A canary decides the model's traffic as long as it runs."""

    code = "canary_running"


class CannotStartCanary(Conflict):
    """There is nothing that a canary could be compared with, or it has that traffic already."""

    code = "cannot_start_canary"


class NoCanary(NotFound):
    """No canary of this model is running."""

    code = "no_canary"


class Autoscaled(Conflict):
    """The number of replicas follows the load."""

    code = "autoscaled"
