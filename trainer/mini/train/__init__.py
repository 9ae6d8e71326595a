"""Training: tokenizer, autoencoder, latents, attention, denoiser, checkpoint, export."""
