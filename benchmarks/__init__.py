"""How fast and how heavy the platform is, as figures and ratios. Nothing here asserts an absolute time."""
