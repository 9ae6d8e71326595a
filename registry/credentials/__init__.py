"""Credentials as people manage them. Rows and authentication are `registry.auth`, the entries of the log `registry.issuance`.

routes      /v1/credentials
service     issuing, listing, rotating with overlap, revoking
"""
