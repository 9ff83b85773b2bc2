"""What the backends of published models share: files on disk, components in memory, latents kept between runs."""
