"""Consents and licences: what was granted, by whom, and whether it still stands.

    tables     the rows
    service    give, grant, withdraw, load as evidence
    routes     /v1/consents, /v1/licences

A withdrawal also suspends versions; that act is `versions.withdrawal`.
"""
