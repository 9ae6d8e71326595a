"""How fast the log is, beside the same PostgreSQL's bare insert, and how its cost grows: `make bench-log`.

bench     a PostgreSQL of its own, a registry's runtime on it, a log filled in bulk
__main__  the measures, one line of JSON each
"""
