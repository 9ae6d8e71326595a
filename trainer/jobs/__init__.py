"""Durable training jobs: from a request over HTTP to submitted versions. No torch and no mathematics here.

    lifecycle    the statuses of a job and the only ways between them
    tables       rows
    ports        what jobs need from outside: the registry, a training function, a policy engine
    runtime      the bundle of ports and settings that routes and workflow are given
    auth         who is calling, asked of the registry
    pictures     uploaded pictures, content-addressed on disk
    files        what an attempt wrote, listed and read by name
    admission    consent, licence and policy, checked before a job exists
    queue        Procrastinate: entries in the caller's transaction, lost entries found again
    service      every change of a job's rows, guarded by status and fencing token
    query        jobs as they travel
    progress     throttled progress of one attempt, and the signal to stop it
    submission   manifests, uploads and the signed training attestation
    workflow     one attempt from claim to end
    loop         a worker's loop: attempts, and upkeep in between
    idempotency  a POST that is sent again with the same key is done once
    routes       HTTP

The training function meets this package only in `trainer.worker`:

    serve_queue(runtime, train=train_with_em, credential=profile.credential, signer=signer)
"""
