"""A film from a prompt, in three lines: python examples/generate.py"""

import phonofilm

nano = phonofilm.load()
clip = nano.generate("A mallet plays a wooden xylophone slowly: red, green, blue.", seconds=4, seed=1)
print(clip.save("xylophone.mp4"))
