"""`python -m modelyard.controller`: settings from the environment."""

import sys

from modelyard.controller.main import main
from modelyard.core.settings import from_environment

sys.exit(main(from_environment()))
