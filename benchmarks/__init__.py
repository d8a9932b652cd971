"""Measurements, run by hand: `python -m benchmarks.NAME`. None of them is a test."""
