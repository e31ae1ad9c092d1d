"""What the benchmarks share: servers as processes, and load from wrk."""
