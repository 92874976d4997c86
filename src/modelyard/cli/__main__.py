"""`python -m modelyard.cli`: the command, where the script `modelyard` is not on the path."""

from modelyard.cli.main import main

main()
