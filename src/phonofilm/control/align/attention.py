"""Attention between the streams, re-weighted near events: what happens together looks at each other more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from phonofilm.control.hits import Hit
from phonofilm.errors import PhonofilmError
from phonofilm.model.rope import Places
from phonofilm.types import Positions

REACH = 0.08
"""Seconds (standard deviation) within which a token is near an event."""


def reweighted(
    places: tuple[Places, Places], positions: Positions, hits: Sequence[Hit], strength: float
) -> tuple[Places, Places]:
    """What `AVTransformer.places` gave, with the scores of the exchange raised for pairs of tokens at one event.

    A video token and a sound token that are both near one event of full strength get `strength` more; a strength of 0
    changes nothing, to the bit. It costs nothing at sampling but the bias itself.

    Args:
        places: of the positions.
        hits: the events.
        strength: added to a score before the softmax, from 0 to 10.

    Raises:
        PhonofilmError: a strength out of range.
    """
    if not 0 <= strength <= 10:
        raise PhonofilmError(f"a strength of {strength:g} is not possible; it is from 0 to 10")
    if strength == 0 or not hits:
        return places
    sound = np.tile(positions.audio[:, 0], (len(positions.stems), 1))
    seen, heard = nearness(positions.video[:, 0], hits), nearness(sound, hits)
    added = strength * (seen @ torch.diag(torch.tensor([hit.strength for hit in hits])) @ heard.T)
    return _with_bias(places[0], added), _with_bias(places[1], added.T)


def nearness(bounds: np.ndarray, hits: Sequence[Hit]) -> Tensor:
    """float32 [tokens, hits], 1 where a token with bounds [tokens, 2] (seconds) holds the event, less beside it."""
    times = np.array([hit.time for hit in hits])
    apart = np.maximum(np.maximum(bounds[:, :1] - times, times - bounds[:, 1:]), 0)
    return torch.from_numpy(np.exp(-0.5 * (apart / REACH) ** 2)).float()


def _with_bias(places: Places, added: Tensor) -> Places:
    like = places.space  # of the device and dtype that the tables have
    added = added.to(like)
    before = places.exchange_bias
    return places._replace(exchange_bias=added if before is None else before + added)
