"""What does the jobs: the loop of a worker, and what it makes of them."""
