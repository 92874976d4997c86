"""Process: the control plane's REST interface. The only writer of wanted state."""
