"""`python -m modelyard.worker SPEC_FILE`."""

import sys

from modelyard.worker.main import main

sys.exit(main(sys.argv[1:]))
