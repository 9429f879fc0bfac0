"""The operator: makes each Workflow resource a run that ends, whatever dies."""
