"""Foley World: a scene, its film and its exact truth, at any size: python examples/world.py"""

from phonofilm import world
from phonofilm.media.sheet import sheet

truths = [world.sample("strike", seed=7)]
clip = world.clips(truths, size=256, fps=25, sample_rate=48_000)[0]
print(clip.prompt)
for event in clip.events:
    print(f"  {event.time:.3f} s  {event.kind} {event.label}  pan {event.pan:+.2f}  {event.loudness:.1f} dB")
clip.save("strike.mp4")
sheet(clip, "strike.png")
