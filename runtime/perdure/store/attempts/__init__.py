"""The store's calls of a process that runs attempts: begin, load, checkpoint, finish."""
