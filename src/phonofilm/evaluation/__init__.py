"""Measurement: what a folder of clips is worth, in numbers with their uncertainty.

Everything with arithmetic in it is a pure function: arrays in, number out, and the order of arguments is always
`(generated, real)`. Numbers are unscaled unless a docstring says ×100.
"""
