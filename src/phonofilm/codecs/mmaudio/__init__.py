"""Between sound and MMAudio's latents: its mel VAE and its vocoder (BigVGAN), in their published layouts."""
