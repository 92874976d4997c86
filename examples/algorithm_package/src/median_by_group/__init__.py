"""An algorithm for Modelyard: the median of the group that a row belongs to."""
