"""Status lists: what has ended, signed anew while it is asked for.

tables     the newest signed list of each name
service    making and signing them
routes     GET /v1/status/{tenant}/{number}
"""
