"""The small text-to-image latent diffusion model that ships.

- `presets`: every number of the recipe
- `corpus`: sprites, scenes, composites and captions
- `train`: `python -m trainer.mini.train {fetch,vae,unet,export}`
- `examples`: `python -m trainer.mini.examples`, the pictures of `examples/`
- `evaluate`: `python -m trainer.mini.evaluate`
- `weights/base`: the trained model, as a diffusers `StableDiffusionPipeline`
"""
