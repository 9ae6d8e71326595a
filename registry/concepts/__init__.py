"""Concepts: what a version is a version of. One row for ever; what stands about it is in `versions` and above.

    tables     the row
    service    create, load, lock
    routes     POST /v1/concepts

Reading concepts is `versions.routes`, because an answer tells which version is approved.
"""
