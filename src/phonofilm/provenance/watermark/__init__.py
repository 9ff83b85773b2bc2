"""A mark in the sound and the picture themselves: it says "a model made this" and nothing else, and needs no original.

What is known of a key is a table of signs. Where a table lies in sound or picture, magnitudes are raised a little
where the sign is +1 and lowered where it is -1; whoever knows the key adds up what he finds with the same signs.
"""
