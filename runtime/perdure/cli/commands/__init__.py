"""The commands of `perdure`, a module for each or for a few that belong together."""
