"""What can go wrong with models."""

from modelyard.core.errors import Conflict


class VersionInUse(Conflict):
    """A deployment holds it; the message names which."""

    code = "in_use"
