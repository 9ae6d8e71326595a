"""What is measured, apart from the tests: nothing here is part of the product.

- `concepts`: concept learning against its peers, `python -m benchmarks.concepts`
- `throughput`: speed of the M-step and the E-step, `python -m benchmarks.throughput`
"""
