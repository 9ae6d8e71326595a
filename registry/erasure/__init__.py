"""Erasing a person for good, with a signed certificate.

    tables       erasures, and the names of the keys that each destroys
    finding      what is destroyed, and what is kept
    certificate  the signed statement of both
    service      erase, finish, certificates
    routes       /v1/erasures

What is erased lies everywhere as ciphertext (`registry.personal`, `registry.versions.sealed`, `registry.blobs`); erasing
is destroying its keys in the vault (`registry.vault`).
"""
