"""The Python client: one file per feature, typed by the features' schemas."""
