"""Training by several processes that torchrun starts: who they are, and how one network lies in them."""
