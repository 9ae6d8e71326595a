"""Approvals: what reviewers sign, and what follows from it.

tables     reviews and revocations
service    review, revoke
query      a version with all its proofs
routes     reviews, revocations, bundles, /v1/resolve
"""
