"""What is measured, each in a process of its own: `python -m benchmarks.contestants module:function '{arguments}'`."""
