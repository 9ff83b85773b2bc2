"""The benchmark on Foley World: events are detected in picture and sound and compared with the truth."""
