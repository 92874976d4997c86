"""One file per kind of job: what a worker does with it."""
