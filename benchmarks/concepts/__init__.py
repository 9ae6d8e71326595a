"""Concept learning against its peers: same machine, same base model, same held-out concepts.

    scenes      the pictures, their concepts and their exact masks
    task        what every method is given and gives back
    learned     what a method learned: rows for prompts, changes of weights
    ours        the EM optimiser and what is left of it without each of its parts
    baselines   its peers, one file each, written from their papers
    rows        all methods by name
    detection   concepts found in generated pictures
    measures    the columns of the table
    meters      seconds and peak memory
    runner      one (row, scene, seed) after another, resumable
    sweep       a small search of each peer's steps and rates on other scenes' seeds
    table       mean and spread as Markdown, JSON and SVG

Example:
    $ python -m benchmarks.concepts --scenes 12 --seeds 3 --out build/bench-concepts
"""
