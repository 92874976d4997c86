"""Usage: what was called, by whom and how much, in totals by the hour."""
