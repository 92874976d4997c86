"""`python -m modelyard.gateway`."""

import sys

from modelyard.gateway.main import main

sys.exit(main())
