"""What can go wrong between an intent and a plan."""

from modelyard.core.errors import Invalid


class TargetUnclear(Invalid):
    """No column is what the intent asks for, or several are."""

    code = "target_unclear"


class NothingToPredict(Invalid):
    """The target holds one value only, or none."""

    code = "nothing_to_predict"
