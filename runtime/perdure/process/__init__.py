"""Processes of attempts, as worker, pod, command line and operator see them: identity, liveness, tree, exit codes."""
