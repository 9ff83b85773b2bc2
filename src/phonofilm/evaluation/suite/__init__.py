"""The evaluation suite: which metrics there are, and how a folder of clips is measured by them."""
