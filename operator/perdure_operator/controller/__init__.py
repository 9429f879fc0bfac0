"""The tasks that run while this replica leads: cache, work queue, reconciler, executor, and periodic comparisons."""
