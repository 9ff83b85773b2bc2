"""What a model made says so, in layers: signed manifests, marks in sound and picture, fingerprints, labels."""
