"""Words that every other part uses: errors, settings, ids, time, the registry. Knows nobody."""
