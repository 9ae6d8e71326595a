"""Events sent to addresses of a tenant's own: Standard Webhooks, `v1a`. The audit log itself is the outbox.

routes      /v1/webhooks
service     subscribing, ending, replaying, lists
delivery    one subscription's messages, in the order of the log: what to send, how it went, when to come again
sending     one POST: address resolved once and pinned, no redirect, signature
worker      the process that delivers, on the job queue
tables      subscriptions and how deliveries ended
"""
