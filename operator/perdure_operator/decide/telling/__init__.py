"""What people are told of a Workflow: its status, its events, and how its run has ended."""
