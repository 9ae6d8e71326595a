"""Checking everything that is stored against everything else: `imprimatur log fsck`.

    tree      entries and hashes of the log, recomputed
    evidence  what the rows of each table must be, against the log
    inside, generations  and by themselves
    rows      each row of evidence against its entry, and each entry against its row
    states    where versions stand, replayed from the log
    files     data keys, ciphertext, documents
    check     all of it, as one report

The log is the measure: what contradicts it is a finding. `check(session, runtime)` reads everything of all tenants, so
its session is the database owner's. An outsider's check is `sdk.audit`.
"""
