"""What `modelyard up` is made of: start everything on one machine, watch it, show one log, leave nothing behind."""
