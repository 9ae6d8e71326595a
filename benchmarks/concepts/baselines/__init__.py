"""The peers, each written from its paper, with its published steps and rates as defaults and a small grid for this base.

training           what all share: pictures, prompts, noise, the plain loop
textual_inversion  Gal et al., arXiv 2208.01618, as the diffusers example trains it
break_a_scene      Avrahami et al., arXiv 2305.16311
dreambooth_lora    Ruiz et al., arXiv 2208.12242, with Hu et al., arXiv 2106.09685
custom_diffusion   Kumari et al., arXiv 2212.04488
"""
