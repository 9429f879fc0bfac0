"""The API: the kind `Workflow` as schema and as dataclasses, and the pods that its attempts run in."""
