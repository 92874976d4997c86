"""`python -m modelyard.replica SPEC_FILE`."""

import sys

from modelyard.replica.main import main

sys.exit(main(sys.argv[1:]))
