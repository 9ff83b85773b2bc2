"""The script that plays a film while it is made, which the page of `phonofilm stream` and the studio have in common."""

from pathlib import Path

LIVE_FILM = Path(__file__).with_name("live_film.js")
