"""Evaluation: networks that name what was drawn, trained apart from the base model, and the table of the model card.

- `networks`: the namers and the image-text encoder, and how they are stored
- `fit`: `python -m trainer.mini.evaluate.fit` trains them on composites
- `measures`: one function a row of the table
- `__main__`: `python -m trainer.mini.evaluate` prints the table and writes it as JSON
"""
