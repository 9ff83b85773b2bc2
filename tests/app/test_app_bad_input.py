"""Bad input of every command: one line that says what is wrong, a code that is not 0, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from phonofilm import Clip
from phonofilm.app.cli.app import app
from phonofilm.app.cli.main import main
from phonofilm.media import write_clip

FAKE = "--model fake"
LONG = "ball " * 400
MAKERS = {
    "generate": "generate x",
    "foley": "foley film.mp4",
    "animate": "animate film.mp4",
    "extend": "extend film.mp4 --seconds 1",
    "retake": "retake film.mp4 --from 0 --to 1",
}
READERS = {
    "foley": f"foley MEDIA -o out.mp4 {FAKE}",
    "animate": f"animate MEDIA -o out.mp4 {FAKE}",
    "extend": f"extend MEDIA --seconds 1 -o out.mp4 {FAKE}",
    "retake": f"retake MEDIA --from 0 --to 1 -o out.mp4 {FAKE}",
    "soundtrack": f"soundtrack MEDIA -o out.mp4 {FAKE}",
    "sheet": "sheet MEDIA -o out.png",
    "info": "info MEDIA",
    "verify": "verify MEDIA",
    "distort": "study distort MEDIA --kind blur --level 2 -o out.mp4",
    "calibrate": "calibrate --film MEDIA -o out",
}
MEDIA = {
    "missing.mp4": "missing.mp4",
    "empty.mp4": "empty.mp4 is empty (0 bytes); make or copy it again",
    "text.mp4": "text.mp4 is not a film or a sound that can be read",
    "cut.mp4": "cut.mp4 holds neither picture nor sound",
    "tail.mp4": "tail.mp4 is ",  # truncated or damaged: how many threads encoded it decides where the cut falls
    "folder.mp4": "folder.mp4",
}
UNHEARD = {("info", "tail.mp4"), ("calibrate", "tail.mp4"), ("calibrate", "cut.mp4")}
"""The header, which is all that info reads, is whole; calibrate says first that so little is too short."""

WRITERS = {name: f"{command} {FAKE}" for name, command in MAKERS.items()}
WRITERS |= {"soundtrack": f"soundtrack film.mp4 {FAKE}"}
WRITERS |= {"distort": "study distort film.mp4 --kind blur --level 2"}
OUTPUTS = {
    "text.mp4/out.mp4": "text.mp4 is a file; name a folder",
    "text.mp4/sub/out.mp4": "text.mp4 is a file; name a folder",
    "out.avi": "out.avi: unknown output format .avi; use .mp4",
    "out": "out: unknown output format (none); use .mp4",
    "folder.mp4": "folder.mp4 is a folder; name a file to write",
    ".": ". is a folder; name a file to write",
}
FILLERS = {
    "generate": f"generate --prompts good.jsonl {FAKE}",
    "world": "world bounce -n 1",
    "evaluate": "evaluate clips",
    "calibrate": "calibrate --quick",
    "study new": "study new clips",
}
FOLDERS = {
    "text.mp4/out": "text.mp4 is a file; name a folder",
    "text.mp4": "text.mp4 is a file; name a folder",
}
PLACES = (
    "generate x -o PLACE/a.mp4 --model nothing",
    "generate x -o a.mp4 --stems PLACE/parts --model nothing",
    "generate --prompts gone.jsonl -o PLACE/clips",
    "foley gone.mp4 -o PLACE/a.mp4",
    "foley gone.mp4 -o a.mp4 --stems PLACE/parts",
    "foley - --live --raw 32x32@12 -o PLACE/a.mp4",
    "animate gone.wav -o PLACE/a.mp4",
    "animate gone.wav -o a.mp4 --stems PLACE/parts",
    "extend gone.mp4 --seconds 1 -o PLACE/a.mp4",
    "extend gone.mp4 --seconds 1 -o a.mp4 --stems PLACE/parts",
    "retake gone.mp4 --from 0 --to 1 -o PLACE/a.mp4",
    "retake gone.mp4 --from 0 --to 1 -o a.mp4 --stems PLACE/parts",
    "soundtrack gone.mp4 --say hi -o PLACE/a.mp4",
    "story board.toml -o PLACE/a.mp4 --model nothing",
    "story board.toml -o a.mp4 --sheet PLACE/a.png --model nothing",
    "stream x -o PLACE/a.mp4 --model nothing",
    "stream x -o a.mp4 --state PLACE/a.state --model nothing",
    "sheet gone.mp4 -o PLACE/a.png",
    "study new gone -o PLACE/study",
    "study report gone -o PLACE/a.html",
    "study export gone -o PLACE/a.json",
    "study distort gone.mp4 --kind blur --level 1 -o PLACE/a.mp4",
    "evaluate gone -o PLACE/report",
    "evaluate gone -o report --cache PLACE/kept",
    "compare gone.json gone.json --csv PLACE/a.csv",
    "calibrate --film gone.mp4 -o PLACE/report",
    "calibrate --film gone.mp4 -o report --cache PLACE/kept",
    "world bounce -n 1 -o PLACE/clips",
    "world bounce -n 1 --mp4 -o PLACE/clips",
    "train codec.toml --set run.output=PLACE/run",
    "finetune lora.toml --data gone --set run.output=PLACE/run",
    "data curate gone.mp4 -o PLACE/set",
    "data convert gone -o PLACE/set",
    "data remove x -o PLACE/set",
    "data review PLACE/set",
    "keys new x --data PLACE/server",
    "keys webhook-secret --data PLACE/server",
    "serve --port 0 --data PLACE/server",
)
"""Commands that write, each with something else that is wrong too, where it reads: of the place is told first."""
WEIGHTS = {
    "mega": "no model 'mega'",
    "nothing": "model 'nothing' lacks transformer.safetensors",
    "missing": "model 'missing' lacks vocoder.safetensors",
    "corrupt": "weights corrupt/transformer.safetensors are corrupt",
    "other": "weights other/audio_vae.safetensors are of a Vocoder, where a AudioVAE is needed",
    "empty.safetensors": "weights empty.safetensors are corrupt",
    "cut.safetensors": "weights cut.safetensors are corrupt",
    "ltx2": "fetch it with: phonofilm weights get ltx2",
}
OPTIONS = {
    "--sampler rk9": "unknown sampler 'rk9'; choose one of euler",
    "--steps 0": "0 steps are not possible",
    "--steps 1e9": "Invalid value for '--steps'",
    "--seed -1": "a seed of -1 is not possible",
    "--guidance x": "a guidance of 'x' is not possible",
    "--guidance 1,2,3": "a guidance of '1,2,3' is not possible",
    "--guidance nan": "a guidance of nan is not possible; choose 0 to 100 (1 is none)",
    "--stg -3": "a guidance of -3 is not possible; choose 0 to 100 (0 is none)",
    "--offload x": "offload: 'x' is not possible; choose one of none",
    "--quantize int3": "quantize: 'int3' is not possible; choose one of int8",
    "--device gpu --model nano": "unknown device 'gpu'; choose one of auto, cpu, cuda, mps",
    "--lora no.safetensors": "loras is for our own models and LTX-2, not for fake; omit it",
    "--dry-run": "fake needs no plan",
}
ROWS = {
    "finetune gone.toml --data .": "recipe gone.toml is not there; check the path, or see recipes/",
    "finetune codec.toml --data .": "codec.toml is no recipe of an adapter: it trains 'video_vae'; its kind must be",
    "foley '' -o out.mp4": "Invalid value for VIDEO: it is empty; name a file or a folder",
    "foley film.mp4 -o ''": "Invalid value for --output: it is empty; name a file or a folder",
    "generate x -o out.mp4 --adapter ''": "Invalid value for --adapter: it is empty; name a file or a folder",
    "study new '' -o out": "Invalid value for DIR…: it is empty; name a file or a folder",
    "calibrate --film '' -o out": "Invalid value for --film: it is empty; name a file or a folder",
    "evaluate clips -r clips --metrics FVD --weights i3d=text.mp4": "text.mp4 is no file of weights, neither",
    "generate --prompts unnamed.jsonl -o out": "unnamed.jsonl line 1: name: it is empty; leave it out for 0000.mp4",
    "stream --state text.mp4 --resume -o out.mp4": "text.mp4 is no state of a live film, or a damaged one; name",
    "stream --state gone --resume -o out.mp4": "the state gone is not there; begin a film with --state, or check",
    "stream x --script text.mp4 -o out.mp4": "script text.mp4 is not TOML that can be read: Expected '=' after a key",
    "stream x --script codec.toml -o out.mp4": "codec.toml: a script has [[prompt]] sections, each with at = SECONDS",
    "onsets gone.mp4 --weights gone.safetensors": "weights gone.safetensors are missing",
    "data curate gone.mp4 -o set": "gone.mp4 is not there; name films or folders of films",
    "data curate -o set": "Missing argument 'SOURCE…'",
    "data remove x -o gone": "gone is no set; name the folder that phonofilm data curate wrote",
    "data review gone": "gone is no set",
    "data info gone": "folder gone does not exist; name a data set",
    "data check text.mp4": "folder text.mp4 is a file; name a data set",
    "data sample gone": "folder gone does not exist; name a data set",
    "data convert gone -o out": "folder gone does not exist; name a data set",
    "serve --port 99999999": "--port 99999999 is not possible; it must be from 0 to 65535",
    "serve --host 0.0.0.0": "keys and films would cross the network in the clear",
    "worker gone": "unexpected extra argument",
    "keys new": "Missing argument 'NAME'",
    "keys revoke": "Missing argument",
    "keys list x": "unexpected extra argument",
    "keys webhook-secret x": "unexpected extra argument",
    "''": "No such command ''",
    "generate x --hits 0.5,x -o out.mp4": "a hit is SECONDS or SECONDS@STRENGTH as in 0.5,1.25@0.8, not 'x'",
    "generate x --hits 9 --seconds 2 -o out.mp4": "a hit at 9 s is outside the clip of 2 s",
    "generate x --hits 9 -o out.mp4 --model fake": "nothing in fake hears hits",
    "generate x --hits 0.5@2 -o out.mp4": "a hit of strength 2 is not possible",
    "generate x --hits gone.mid -o out.mp4": "depends on the clip's length; say it in seconds",
    "generate x --hits gone.mid --seconds 1 -o out.mp4": "MIDI file gone.mid is missing",
    "generate x --follow gone.wav -o out.mp4": "gone.wav",
    "generate x --sync on -o out.mp4": "hears sync; load a control module for it with --adapter FILE",
    "generate x --sync on --control-scale 9 -o out.mp4": "a control scale of 9 is not possible; choose 0 to 4",
    "generate x --adapter gone.safetensors -o out.mp4": "weights gone.safetensors are missing",
    "generate x --model fake --adapter a -o out.mp4": "adapters is for our own models, not for fake; omit it",
    "foley film.mp4 --hits 99 -o out.mp4": "is outside the clip of",
    "frobnicate": "No such command 'frobnicate'; see phonofilm --help",
    "generate -o out.mp4": "the prompt is empty; say what to make",
    "generate ' ' -o out.mp4": "the prompt is empty",
    "generate x": "say what to write: -o clip.mp4",
    "generate x -p y -o out.mp4": "give the prompt once, as PROMPT or with -p",
    "generate x -o - --model fake": "-o - and --json both write to standard output",
    "generate x -n 2 -o - --model fake": "standard output takes one clip",
    "generate x -o -.avi": "-o - and --json both write",
    "generate x --seconds -1 --steps 0 -o out.mp4": "s; steps: 0 steps are not possible",
    "generate --prompts good.jsonl -o -": "--prompts writes a folder of clips; name one",
    "generate x y -o out.mp4": "unexpected extra argument",
    "generate \udcff -o out.mp4 --model fake": "the prompt is not text in UTF-8",
    "generate x -o out.mp4 --seconds -3": "a duration of -3 s is not possible; choose more than 0, up to 600 s",
    "generate x -o out.mp4 --seconds 1e8": "a duration of 1e+08 s is not possible",
    "generate x -o out.mp4 --seconds nan": "a duration of nan s is not possible",
    "generate x -o out.mp4 --seconds long": "Invalid value for '--seconds'",
    "generate x -o out.mp4 --size big": "a size of 'big' is not possible; write WxH",
    "generate x -o out.mp4 --size -64x64": "a side of -64 pixels is not possible",
    "generate x -o out.mp4 --size 1x2x3": "a size of '1x2x3' is not possible",
    "generate x -o out.mp4 --size 4096x4096 --fps 120 --seconds 600 --model fake": "ask for a shorter or smaller clip",
    "generate x -o out.mp4 --fps 0": "frame rate '0' must be positive",
    "generate x -o out.mp4 --fps 1e9": "a frame rate of 1e9 is not possible",
    "generate x -o out.mp4 -n 0": "0 clips cannot be made; choose -n 1 to",
    "generate x -o out.mp4 -n 100000000": "100000000 clips cannot be made",
    "generate x -o out.mp4 --image no.png": "picture no.png cannot be read",
    "generate x -o out.mp4 --image text.mp4": "text.mp4 is not a picture that can be read; use PNG",
    "generate x -o out.mp4 --image empty.mp4": "empty.mp4 is not a picture",
    "generate x -o out.mp4 --resume": "--resume goes with --prompts",
    f"generate x -o {'n' * 300}.mp4 {FAKE}": "File name too long",
    "generate x --prompts good.jsonl -o out": "give one prompt or --prompts, not both",
    "generate --prompts no.jsonl -o out": "no.jsonl cannot be read",
    "generate --prompts folder.mp4 -o out": "folder.mp4 cannot be read: Is a directory",
    "generate --prompts empty.mp4 -o out": "empty.mp4 holds no prompts",
    "generate --prompts text.mp4 -o out": "text.mp4 line 1: it is not JSON",
    "generate --prompts film.mp4 -o out": "film.mp4 is not text",
    "generate --prompts number.jsonl -o out": "number.jsonl line 1: a job is a string, or an object",
    "generate --prompts field.jsonl -o out": "field.jsonl line 1: chess: unknown field 'chess'; there are prompt",
    "generate --prompts escape.jsonl -o out": "name: '../x' cannot be the name of a file",
    "generate --prompts negative.jsonl -o out": "negative.jsonl line 1: seconds: a duration of -1 s",
    f"generate --prompts good.jsonl -o out {FAKE} --sampler rk9": "unknown sampler 'rk9'",
    "foley film.mp4 -o out.gif --model fake": ".gif holds no sound",
    "foley sound.wav -o out.mp4 --model fake": "sound.wav has no picture to make sound for; animate makes",
    "animate silent.mp4 -o out.mp4 --model fake": "animate needs sound, and this clip has none; try foley",
    "animate film.mp4 -o out.mp4 --size 0 --model fake": "a side of 0 pixels is not possible",
    "extend film.mp4 -o out.mp4": "Missing option '--seconds'",
    "extend film.mp4 --seconds -1 -o out.mp4": "a duration of -1 s is not possible",
    "extend film.mp4 --seconds 1e9 -o out.mp4": "a duration of 1e+09 s is not possible",
    "retake film.mp4 --from 2 --to 1 -o out.mp4": "a retake from 2 to 1 s is not possible; choose 0 <= from < to",
    "retake film.mp4 --from nan --to 1 -o out.mp4": "a retake from nan to 1 s is not possible",
    "retake film.mp4 --from 9 --to 10 -o out.mp4": "starts after the clip's end at 2.00 s",
    "retake film.mp4 --from 0 --to 1 --audio-only --video-only -o out.mp4": "exclude each other",
    "foley film.mp4 -o film.mp4": "film.mp4 is read and would be replaced; name another file to write",
    "foley film.mp4 -o ./film.mp4": "film.mp4 is read and would be replaced",
    "foley film.mp4 -o link.mp4": "link.mp4 is read as film.mp4 and would be replaced; name another file to write",
    "foley link.mp4 -o film.mp4": "film.mp4 is read as link.mp4 and would be replaced",
    "foley film.mp4 -o hard.mp4": "hard.mp4 is read as film.mp4 and would be replaced",
    "animate film.mp4 -o film.mp4": "film.mp4 is read and would be replaced",
    "extend film.mp4 --seconds 1 -o film.mp4": "film.mp4 is read and would be replaced",
    "retake film.mp4 --from 0 --to 1 -o link.mp4": "link.mp4 is read as film.mp4 and would be replaced",
    "generate x --image film.mp4 -o film.mp4": "film.mp4 is read and would be replaced",
    "generate --prompts over.jsonl -o clips": "over.jsonl line 1: clips/a.mp4 is read as clips/../clips/a.mp4 and",
    "generate --prompts batch/index.jsonl -o batch": "batch/index.jsonl is read and would be replaced",
    "sheet picture.png -o picture.png": "picture.png is read and would be replaced",
    "study distort film.mp4 --kind blur --level 1 -o link.mp4": "link.mp4 is read as film.mp4 and would be replaced",
    "evaluate clips --prompts batch/clips.csv -o batch": "batch/clips.csv is read and would be replaced",
    "compare list.json list.json --csv list.json": "list.json is read and would be replaced",
    "generate 'A \"hi\"' --voice nobody -o out.mp4": "voices[0]: no voice named 'nobody'; there are heart, joe",
    "generate x --voice fake -o out.mp4 --model fake": "a voice is given and nobody speaks",
    "generate x --say hi@-2 -o out.mp4": "say[0]: 'hi@-2' cannot be said at -2 s; choose 0 or later, as in TEXT@1.5",
    "generate x --say hi@9 --voice fake --seconds 2 -o out.mp4 --model fake": "'hi' at 9 s takes 0.1 s and the clip",
    "generate 'A \"Привет\"' --voice fake -o out.mp4 --model fake": "does not know the letters П в е и р",
    "generate 'A \"...\"' --voice fake -o out.mp4 --model fake": "'...' holds no words that can be spoken",
    "generate 'A \"one two three four\"' --voice fake --seconds 0.5 -o out.mp4 --model fake": "use fewer words or a",
    "generate x --say hi --only video -o out.mp4 --model fake": "there are words to say, and speech is not made",
    "generate x --subtitles -o - --model fake": "--subtitles writes a file beside the clip",
    "soundtrack film.mp4 -o out.gif": ".gif holds no sound",
    "soundtrack sound.wav -o out.mp4": "sound.wav has no picture to make sound for",
    "soundtrack film.mp4 --say hi@1e400 -o out.mp4": "'hi@1e400' cannot be said at inf s",
    "soundtrack film.mp4 -o film.mp4": "film.mp4 is read and would be replaced",
    "soundtrack film.mp4 --say hi@-1 -o out.mp4": "'hi@-1' cannot be said at -1 s",
    "soundtrack film.mp4 --say hi@5 --voice fake -o out.mp4": "'hi' at 5 s takes 0.1 s and the clip ends at 2 s",
    "soundtrack film.mp4 --say '!!!' --voice fake -o out.mp4": "'!!!' holds no words that can be spoken",
    "soundtrack film.mp4 --say hi --voice emma -o out.mp4": "fetch it with: phonofilm weights get emma",
    "soundtrack film.mp4 --voice fake -o out.mp4": "a voice is given and nobody speaks",
    "soundtrack film.mp4 --say subtitles -o out.mp4": "film.mp4 has no subtitles: no track of text in it",
    "soundtrack film.mp4 --say letter.srt -o out.mp4": "letter.srt is no subtitle file that can be read",
    "soundtrack film.mp4 --say none.vtt -o out.mp4": "none.vtt is not there; check the path",
    "soundtrack film.mp4 --say said.srt --voice fake --subtitles -o said.mp4 --keep --say hi": "choose one",
    "soundtrack film.mp4 --keep -o out.mp4": "nothing is added to the film's own sound",
    "soundtrack silent.mp4 --keep --say hi -o out.mp4": "silent.mp4 has no sound of its own to keep",
    "soundtrack film.mp4 --music silent.mp4 -o out.mp4": "silent.mp4 has no sound, so it cannot be the music",
    "soundtrack film.mp4 --loudness 5 -o out.mp4": "a loudness of 5 LUFS is not possible; choose -50 to -5",
    "soundtrack film.mp4 -14 --loudness -20 -o out.mp4": "-14 and --loudness say the same",
    "soundtrack film.mp4 --dry-run -o out.mp4": "--dry-run plans what generate and foley make",
    "sheet film.mp4 -o out.jpg": "out.jpg: a contact sheet is a picture; name it .png",
    "sheet film.mp4 -o text.mp4/out.png": "text.mp4 is a file; name a folder",
    "sheet film.mp4 -o folder.png": "folder.png is a folder; name a file to write",
    "info": "Missing argument 'CLIP'",
    "weights get mega": "no public model named 'mega'; there are ltx2",
    "weights get nano": "nano ships with Phonofilm; there is nothing to fetch",
    "weights frobnicate": "No such command 'frobnicate'; see phonofilm weights --help",
    "world chess -o out": "there is no scene family 'chess'; choose from bounce",
    "world bounce -n 0 -o out": "-n 0 is not possible; it must be 1 or more",
    "world bounce --workers 0 -o out": "--workers 0 is not possible; it must be 1 or more",
    "world bounce --seconds 1e9 -o out": "--seconds 1000000000 is not possible; it must be from 0.001 to 600",
    "world bounce --seconds nan -o out": "--seconds nan is not possible",
    "world bounce --seed -1 -o out": "--seed -1 is not possible; it must be 0 or more",
    "world bounce --size 100000 -o out": "--size 100000 is not possible; it must be from 16 to 4096",
    "world bounce --edition 3 -o out": "there is no edition 3 of Foley World; --edition is 1 or 2",
    "world bounce --fps 1000 -o out": "--fps 1000 is not possible; it must be from 1 to 120",
    "train no.toml": "recipe no.toml is not there; check the path, or see recipes/ for those that work",
    "train folder.mp4": "recipe folder.mp4 cannot be read",
    "train film.mp4": "recipe film.mp4 is not TOML",
    "train bad.toml": "recipe bad.toml is not TOML that can be read: Invalid value (at end of document); mend it there",
    "train kindless.toml": 'kindless.toml: no line says what it trains; write kind = "…" at its top, one of video_vae',
    "finetune kindless.toml --data .": "kindless.toml is no recipe of an adapter: no line says what it trains",
    "train chess.toml": "kind = 'chess' is none that can be trained; write kind",
    "train codec.toml --set run.stepps=3": "unknown setting run.stepps; did you mean run.steps?",
    "train codec.toml --set x": "override 'x' must read key=value",
    "train codec.toml --set run.steps=-1": "run.steps = -1 is not possible; it starts at 1",
    "train codec.toml --set run.batch=0": "run.batch = 0 is not possible; it starts at 1",
    "train codec.toml --set optim.lr=-1": "optim.lr = -1 is not possible",
    "train codec.toml": "cannot be read; write clips first: phonofilm world",
    "score nowhere": "folder nowhere does not exist; name a folder of clips",
    "score film.mp4": "folder film.mp4 is a file; name a folder of clips",
    "score nothing": "there is no clip in nothing",
    "score clips --truth nothing": "there is no clip in nothing",
    "evaluate nowhere": "folder nowhere does not exist; name a folder of clips",
    "evaluate nothing": "there is no clip in nothing",
    "evaluate clips --preset chess": "there is no preset 'chess'; choose from quick",
    "evaluate clips --metrics chess": "there is no metric 'chess'",
    "evaluate clips --reference nowhere": "folder nowhere does not exist",
    "evaluate clips --prompts no.json": "prompts no.json cannot be read",
    "evaluate clips --weights x": "--weights takes NAME=FILE",
    "evaluate clips --seed -1": "--seed -1 is not possible; it must be 0 or more",
    "evaluate clips --cache text.mp4": "text.mp4 is a file; name a folder",
    "compare no.json no.json": "no.json cannot be read",
    "compare bad.toml bad.toml": "bad.toml is not JSON; give a results.json",
    "compare list.json list.json": "list.json is not a result of phonofilm evaluate",
    "parity nowhere": "nowhere is not a folder of parity fixtures",
    "parity nothing": "nothing holds no parity fixture",
    "parity nothing --device gpu": "unknown device 'gpu'",
    "calibrate --seeds 0 -o out": "--seeds 0 is not possible; it must be 4 or more",
    "calibrate --film-seconds nan -o out": "--film-seconds nan is not possible; it must be 20 or more",
    "calibrate --metrics chess -o out": "there is no metric 'chess'",
    "study frobnicate": "No such command 'frobnicate'; see phonofilm study --help",
    "study new nowhere -o out": "folder nowhere does not exist; name a folder of clips",
    "study new nothing -o out": "there is no clip in nothing",
    "study new clips clips -o out": "two systems would be called 'clips'",
    "study new clips -o out --pairs -1": "--pairs -1 is not possible",
    "study new clips -o out --rule chess=1": "unknown setting rule chess; known: catch_most",
    "study new clips -o out --prompts no.json": "prompts no.json cannot be read: No such file or directory",
    "study serve nothing": "nothing holds no study: make one with phonofilm study new",
    "study links nothing anna": "nothing holds no study",
    "study report nothing -o out.html": "nothing holds no study",
    "study export nowhere -o out.json": "nowhere holds no study",
    "study power --effect nan": "--effect nan is not possible; it must be a finite number",
    "study power --effect 0": "power needs an effect that is not 0",
    "study power --systems 1": "--systems 1 is not possible; it must be 2 or more",
    "study power --scene-sd -1": "--scene-sd -1 is not possible; it must be 0 or more",
    "study power --rater-sd 0 --scene-sd 0 --noise-sd 0": "power needs a spread that is not 0",
    "study power --ratings 0": "power needs a number of ratings by each rater above 0, not 0",
    "study power --scenes 0": "--scenes 0 is not possible; it must be 2 or more",
    "study distort film.mp4 --kind chess --level 1 -o out.mp4": "there is no distortion 'chess'; choose from",
    "study distort film.mp4 --kind blur --level nan -o out.mp4": "blur takes pixels from 0 to 200, not nan",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory, tiny_model) -> Path:
    """A folder of all that can be wrong with a file, and of a film with which nothing is."""
    folder = tmp_path_factory.mktemp("shop")
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    film = write_clip(Clip(noise, 12, np.zeros((2, 32_000), np.float32), 16_000), folder / "film.mp4").read_bytes()
    write_clip(Clip(np.zeros((12, 16, 16, 3), np.uint8), 12), folder / "silent.mp4")
    write_clip(Clip(waveform=np.zeros((1, 8000), np.float32), sample_rate=16_000), folder / "sound.wav")
    weights = (tiny_model / "transformer.safetensors").read_bytes()
    for name, content in {
        "empty.mp4": b"",
        "cut.mp4": film[:300],
        "tail.mp4": film[: len(film) * 2 // 3],
        "text.mp4": b"this is no film\n" * 100,
        "empty.safetensors": b"",
        "cut.safetensors": weights[:2000],
        "good.jsonl": b'"x"\n',
        "number.jsonl": b"3\n",
        "field.jsonl": b'{"prompt": "x", "chess": 1}',
        "escape.jsonl": b'{"prompt": "x", "name": "../x"}',
        "negative.jsonl": b'{"prompt": "x", "seconds": -1}',
        "bad.toml": b"a = [",
        "chess.toml": b'kind = "chess"',
        "lora.toml": b'kind = "lora"',
        "board.toml": b'[[shot]]\nprompt = "x"\nseconds = 1',
        "kindless.toml": b"[run]\nsteps = 1",
        "unnamed.jsonl": b'{"prompt": "x", "name": ""}',
        "codec.toml": b'kind = "video_vae"\n[run]\noutput = "run"\n[data]\nfolder = "nowhere"',
        "list.json": b"[1]",
        "letter.srt": b"dear all,\nthis is a letter\n",
        "said.srt": b"1\n00:00:00,500 --> 00:00:01,500\nhello\n",
    }.items():
        (folder / name).write_bytes(content)
    for name in ("folder.mp4", "folder.png", "nothing", "clips", "locked"):
        (folder / name).mkdir()
    shutil.copy(folder / "film.mp4", folder / "clips" / "a.mp4")
    (folder / "link.mp4").symlink_to("film.mp4")
    (folder / "hard.mp4").hardlink_to(folder / "film.mp4")
    (folder / "over.jsonl").write_text('{"task": "foley", "source": "clips/../clips/a.mp4", "name": "a"}')
    (folder / "batch").mkdir()
    (folder / "batch" / "index.jsonl").write_text('"x"')
    (folder / "batch" / "clips.csv").write_text("name,prompt\na,x\n")
    (folder / "picture.png").write_bytes(b"")
    for name in ("missing", "corrupt", "other"):
        shutil.copytree(tiny_model, folder / name)
    (folder / "missing" / "vocoder.safetensors").unlink()
    (folder / "corrupt" / "transformer.safetensors").write_bytes(weights[:1000])
    shutil.copy(folder / "other" / "vocoder.safetensors", folder / "other" / "audio_vae.safetensors")
    return folder


@pytest.fixture(autouse=True)
def here(shop, monkeypatch) -> Path:
    monkeypatch.chdir(shop)
    return shop


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*")}


def refused(capsys, folder: Path, arguments: list[str]) -> str:
    """The one line that a command says as it refuses; said to programs too, and nothing has changed."""
    before = everything(folder)
    capsys.readouterr()
    code = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert code in (1, 2), err
    assert err.startswith("phonofilm: ")
    assert err.count("\n") == 1, err
    assert "internal error" not in err
    assert everything(folder) == before
    said = json.loads(out)
    assert (said["ok"], said["exit_code"]) == (False, code)
    assert out.count("\n") == 1
    return said["error"]


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All there are, by their words."""
    if not hasattr(command, "commands"):
        yield path
        return
    for name, inner in command.commands.items():
        yield from commands(inner, (*path, name))


COMMANDS = [" ".join(path) for path in commands(get_command(app))]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option(capsys, here, command):
    said = refused(capsys, here, [*command.split(), "--frobnicate"])
    assert said.startswith("No such option: --frobnicate")
    assert said.endswith(f"see phonofilm {command} --help")


def test_no_command_is_left_out():
    tried = [*ROWS, *PLACES, *READERS.values(), *WRITERS.values(), *FILLERS.values()]
    untested = {command for command in COMMANDS if not any(row.startswith(command) for row in tried)}
    # the first two take nothing that could be wrong, the third is tested beside its room
    assert untested == {"doctor", "models", "plan-training"}


@pytest.mark.parametrize(("reader", "file"), [pair for pair in product(READERS, MEDIA) if pair not in UNHEARD])
def test_media_that_cannot_be_read(capsys, here, reader, file):
    assert MEDIA[file] in refused(capsys, here, READERS[reader].replace("MEDIA", file).split())


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_be_made(capsys, here, writer, output):
    assert OUTPUTS[output] in refused(capsys, here, [*WRITERS[writer].split(), "-o", output])


@pytest.mark.parametrize("output", FOLDERS)
@pytest.mark.parametrize("filler", FILLERS)
def test_a_folder_that_cannot_be_made(capsys, here, filler, output):
    assert FOLDERS[output] in refused(capsys, here, [*FILLERS[filler].split(), "-o", output])


@pytest.mark.parametrize("row", PLACES)
def test_a_place_that_takes_nothing_is_told_before_any_work(capsys, here, monkeypatch, row):
    command = shlex.split(row.replace("PLACE", "text.mp4"))
    assert "text.mp4 is a file; name a folder" in refused(capsys, here, command)
    allowed = os.access  # root may write everywhere
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place).name != "locked" and allowed(place, mode))
    command = shlex.split(row.replace("PLACE", "locked"))
    assert "folder locked is not writable; choose another one for" in refused(capsys, here, command)


def test_no_option_that_writes_is_left_out():
    found = set()
    for words in map(str.split, COMMANDS):
        command = get_command(app)
        for word in words:
            command = command.commands[word]
        for parameter in command.params:
            if (kind := parameter.name) in ("output", "state", "sheet", "csv", "stems", "cache"):
                flag = "-o" if kind == "output" else f"--{kind}"
                where = "PLACE" if not parameter.opts[0].startswith("-") else f"{flag} PLACE"
                found |= {(tuple(words), where)}
    tried = {(words, where) for words, where in found if any(" ".join(words) in row and where in row for row in PLACES)}
    # compare reads the cache and evaluate --csv writes into its folder; data review takes the set as its argument
    assert found - tried == {(("compare",), "--cache PLACE"), (("evaluate",), "--csv PLACE")}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("maker", ["generate", "foley"])  # the others load as generate does
def test_weights_that_are_not_there_or_not_right(capsys, here, maker, weights):
    said = refused(capsys, here, [*MAKERS[maker].split(), "-o", "out.mp4", "--model", weights])
    assert WEIGHTS[weights] in said


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("maker", ["generate", "foley"])  # the others take what generate takes
def test_an_option_that_makes_no_sense(capsys, here, maker, options):
    model = [] if "--model" in options else FAKE.split()
    assert OPTIONS[options] in refused(
        capsys, here, [*MAKERS[maker].split(), "-o", "out.mp4", *model, *options.split()]
    )


@pytest.mark.parametrize(
    "arguments", [["generate", LONG], ["generate", "x", "--negative", LONG], ["foley", "film.mp4", "-p", LONG]]
)
def test_a_prompt_over_the_encoders_tokens(capsys, here, tiny_model, arguments):
    said = refused(capsys, here, [*arguments, "-o", "out.mp4", "--model", str(tiny_model), "--steps", "1"])
    assert "has 402 tokens, at most 256 fit: shorten it" in said


@pytest.mark.parametrize("row", ROWS)
def test_the_rest(capsys, here, row):
    assert ROWS[row] in refused(capsys, here, shlex.split(row))


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.webm", "out.wav", "out.gif", "out.png", "out"])
def test_a_disk_that_takes_no_more(capsys, here, monkeypatch, output):
    """A limit on a file's size, which the system itself keeps, in place of a full disk."""
    command = {"out.png": "sheet film.mp4", "out": "world bounce -n 1 --mp4"}.get(output, f"{MAKERS['animate']} {FAKE}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        said = refused(capsys, here, [*command.split(), "-o", output])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{output}" in said
    assert "cannot be written: File too large; choose another name or folder" in said


def test_a_batch_checks_the_length_of_prompts_before_the_first_is_made(capsys, tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").write_text(f'{{"prompt": "{LONG}", "name": "long"}}\n')
    arguments = ["generate", "--prompts", "jobs", "-o", "out", "--model", str(tiny_model), "--steps", "1"]
    said = refused(capsys, tmp_path, arguments)
    assert said.startswith("jobs line 1: the prompt")
    assert "402 tokens" in said
    (tmp_path / "jobs").write_text(f'"{LONG}"\n{{"prompt": "x", "seconds": 0.5}}\n')
    assert main(arguments) == 1
    assert "phonofilm: jobs line 1: the prompt" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path / "out")) == ["0001.mp4", "index.jsonl"]
