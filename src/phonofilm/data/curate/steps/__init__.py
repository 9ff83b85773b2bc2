"""The steps: each measures one thing of a shot, and nothing else."""
