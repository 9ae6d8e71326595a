"""`python -m benchmarks.registry`: resolving an alias to an approved version with its terms, against MLflow's registry.

load        16 clients on connections that stay open, in a process of their own
servers     the two servers: ours and MLflow's, two processes each, on one PostgreSQL
world       what is resolved: an approved version here, a model version there
"""
