"""Parts of `benchmarks/trigger.py`."""
