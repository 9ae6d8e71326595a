"""Approvals: what reviewers sign, and what follows from it.

tables     reviews and revocations
service    review, revoke, reinstate
signed     what a reviewer signed, verified
break_glass  opening a version for a while before its approval
renewal    verdicts on other terms for a version
query      a version with all its proofs
routes     reviews, revocations, break-glass, bundles, /v1/resolve
renewal_routes  renewals
"""
