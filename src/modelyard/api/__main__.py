"""`python -m modelyard.api`: settings from the environment."""

import sys

from modelyard.api.main import main
from modelyard.core.settings import from_environment

sys.exit(main(from_environment()))
