"""What clients trust, distributed over TUF: the trust root and the policy bundle, with rotation and expiry.

proposal     what several holders of root keys sign, one after the other, before it is published
repository   a folder of TUF metadata and targets: making, publishing, rotating, keeping fresh
routes       /v1/tuf/: the folder as static files
"""
