"""The `modelyard` command: one file per feature; speaks to the sdk only and starts processes."""
