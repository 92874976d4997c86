"""From an intent in plain words to a version."""
