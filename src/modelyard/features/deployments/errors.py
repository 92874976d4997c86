"""What can go wrong with deployments."""

from modelyard.core.errors import Conflict, Invalid


class KeyTaken(Conflict):
    """Another deployment has this key."""

    code = "key_taken"


class BadTraffic(Invalid):
    """The weights of a model's versions do not make 100."""

    code = "bad_traffic"
