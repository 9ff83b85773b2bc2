"""What the embedded model knows, and whether a prompt is anywhere near it."""

from __future__ import annotations

KNOWS = "bouncing balls and boxes, xylophone strikes"
