"""What the service costs, each figure as a ratio to the barest thing that could do it, in the same run.

`python -m benchmarks [NAME ...] [--quick] [--json FILE]`; docs/performance.md says how to read the table.
"""
