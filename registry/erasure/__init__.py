"""Erasing a person for good, with a signed certificate.

    tables     erasures, and the names of the keys that each destroys
    service    erase, finish, certificates
    routes     /v1/erasures

What is erased lies everywhere as ciphertext (`registry.personal`, `registry.versions.sealed`, `registry.blobs`); erasing
is destroying its keys in the vault (`registry.vault`).
"""
