"""Whether the benchmarks run and hold what they assert; never how fast anything is."""
