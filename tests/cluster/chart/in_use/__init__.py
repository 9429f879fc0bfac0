"""A release that is in use: runs are under way while it is upgraded, rolled back, restored and taken away."""
