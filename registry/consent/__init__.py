"""Consents and licences: what was granted, by whom, about whom, and whether it still stands.

    tables     the rows
    service    give, grant, withdraw
    evidence   both as verifiers and policies meet them, at a moment
    subjects   who a caller is in the records: the pseudonyms they are, or speak for
    query      one consent or a page of them; a subject finds those about them
    history    how consents stood at a moment
    routes     /v1/consents, /v1/licences, /v1/subjects

A withdrawal also suspends versions; that act is `versions.withdrawal`.
"""
