"""A real Kubernetes for the tests, and the tests that run on it; README.md says how it is put together."""
