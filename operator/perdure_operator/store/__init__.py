"""The operator's calls of the store: batched, with time limits, each idempotent."""
