"""kind: clusters whose nodes are containers, and an image for its nodes where no registry is in reach."""
