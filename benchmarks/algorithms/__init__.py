"""How good the algorithms are on known sets, with default parameters, against the numbers to beat."""
