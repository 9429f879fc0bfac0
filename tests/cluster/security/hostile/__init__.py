"""The code of a hostile Workflow: it runs in a pod, and tells how each of its attempts ended."""
