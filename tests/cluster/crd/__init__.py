"""The kind `Workflow` on a real API server."""
