"""Recalls: what the end of a version affects, who is told, and who has answered.

tables     notices that were fetched, and acknowledgements
service    the blast-radius report, notices, acknowledging
routes     /v1/notices, and the report of a version
"""
