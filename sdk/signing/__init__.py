"""Keys and who is trusted with them.

signer   the Signer port, Ed25519 key files, DSSE signing
trust    the trust root: roles, thresholds, expiry; signed checkpoints
status   status lists as JWTs
tuf_client   what a registry distributes over TUF, by ngclient
"""
