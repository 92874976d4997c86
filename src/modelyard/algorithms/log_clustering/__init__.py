"""Scenario: groups the lines of a log by the template that wrote them, and extracts what varies."""

TITLE = "Log clustering"
DESCRIPTION = "Groups the lines of a log by the template that wrote them, and extracts what varies."
DEFAULT = "drain"
