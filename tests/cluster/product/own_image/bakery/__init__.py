"""Code that is in an image, and in no Workflow."""
