"""What a network learns: one file per task, with its data, its loss and its previews."""
