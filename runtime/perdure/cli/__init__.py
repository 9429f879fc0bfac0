"""The command line, `perdure`."""
