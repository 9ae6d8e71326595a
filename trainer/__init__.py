"""The training service: from pictures to learned concepts, governed.

    app, worker, cli   the service, its worker process, its commands
    settings           every limit, read once
    jobs               durable execution: admission, workflow, progress (no torch)
    orders, outcome    what a training needs of a job's order, and gives back to it
    run                one whole training: load, fit, report, export
    export, quality    embeddings and masks as files; the quality report
    em                 the optimiser
    mini               the small base model that ships
    backbone, data     the frozen network; pictures and concepts

Example:
    result = run_training(load_backbone(path), training_set, EMConfig(), out_dir)
"""
