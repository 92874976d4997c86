"""What follows on the end of a dataset's jobs: uploads become samples, releases are published."""

from modelyard.features.datasets import releases, uploads

ENDINGS = {"intake": uploads.import_ended, releases.JOB: releases.job_ended}
