"""The rendering service: drawing what applications were granted, on GPU workers. No torch here; ADR 0034.

    lifecycle    the statuses of a render and the only ways between them
    tables       rows, erased once the application has its images
    admission    a request held to its compose grant, before anything is queued
    queue        Procrastinate, beside the training queue; renders of dead workers are taken over
    service      every change of a render's rows, guarded by status and fencing token
    workflow     one attempt: artefacts under the grant, drawing, images
    loop         a worker's loop
    routes       HTTP

The drawing function meets this package only in `trainer.renderer`:

    serve_renders(runtime, profile, draw=draw_with(pipeline))
"""
