"""The voice of the vocoder: pulses at a pitch that is heard in the mel, and the last correction of every band."""
