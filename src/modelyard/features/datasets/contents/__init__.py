"""What a dataset holds: its canonical tables with the purposes and the edits of their rows folded in."""
