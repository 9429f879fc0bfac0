"""What the product may do on a cluster, and what a workflow may not."""
