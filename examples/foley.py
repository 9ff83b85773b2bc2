"""Sound for a silent film: python examples/foley.py

The silent film is a scene of Foley World, so its true sound is known, and we can see how well the made one fits.
"""

import phonofilm
from phonofilm import world
from phonofilm.evaluation.foley_world.audio_events import onsets
from phonofilm.evaluation.foley_world.metrics import match
from phonofilm.media.sheet import sheet

truth = world.clips([world.sample("bounce", seed=123)])[0]
silent = truth.with_(waveform=None, sample_rate=None)
made = phonofilm.load().generate(truth.prompt or "", task="foley", source=silent, seed=1)
assert made.waveform is not None
assert made.sample_rate is not None

true_times = [event.time for event in truth.events]
heard_times = [onset.time for onset in onsets(made.waveform, made.sample_rate)]
print(truth.prompt)
print("true impacts", [round(time, 2) for time in true_times])
print("heard       ", [round(time, 2) for time in heard_times])
print(f"{len(match(heard_times, true_times, 0.06))} of {len(true_times)} within 60 ms")
made.save("foley.mp4")
sheet(made, "foley.png", events=truth.events)
