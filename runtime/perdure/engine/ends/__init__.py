"""The ends of an attempt: cancellation, the verdict over a replay, the unwinding of what is left."""
