"""What can go wrong with algorithms and configurations."""

from modelyard.core.errors import Conflict, Invalid


class BadParameters(Invalid):
    """A parameter does not fit the algorithm's form."""

    code = "bad_parameters"


class Disabled(Conflict):
    """An administrator has switched the algorithm or the configuration off."""

    code = "disabled"


class NotInstalled(Conflict):
    """The algorithm needs a package that is not installed here."""

    code = "not_installed"


class ConfigurationTaken(Conflict):
    """The algorithm has a configuration of this name already."""

    code = "configuration_taken"


class BuiltIn(Conflict):
    """What comes with the platform is not changed."""

    code = "built_in"
