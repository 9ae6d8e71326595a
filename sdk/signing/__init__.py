"""Keys and who is trusted with them.

public_keys   raw keys, their ids and PEM form, verification
remote   keys that are kept elsewhere: key services, Vault, PKCS#11
signer   the Signer port, key files, DSSE signing
trust    the trust root: roles, thresholds, expiry; signed checkpoints
grants   compose grants
receipts   proofs that an entry is in the log
recorded   what the registry states about acts that it recorded
status   status lists as JWTs
tuf_client   what a registry distributes over TUF, by ngclient
"""
