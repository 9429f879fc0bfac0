"""The store's calls of workers: claim runs in bulk, follow processes, release the runs of dead ones."""
