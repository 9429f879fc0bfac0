"""Runs whose attempts are processes of this machine, as `perdure run` shows them."""
