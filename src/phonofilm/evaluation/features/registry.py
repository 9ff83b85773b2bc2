"""The one registry of features: ours, and those of installed packages."""

from __future__ import annotations

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.feature import Feature


def catalogue() -> dict[str, Feature]:
    """Every feature by name."""
    from phonofilm.evaluation.features.detectors import DETECTORS
    from phonofilm.evaluation.features.extensions import extensions
    from phonofilm.evaluation.features.packaged_networks import EMBEDDED
    from phonofilm.evaluation.features.ported_networks import PUBLISHED
    from phonofilm.evaluation.features.signal import CORE
    from phonofilm.evaluation.features.sync_network import OWN
    from phonofilm.evaluation.features.transformers_networks import PRETRAINED

    ours = {feature.name: feature for feature in (*CORE, *OWN, *EMBEDDED, *PUBLISHED, *PRETRAINED, *DETECTORS)}
    theirs = {one.name: one for _, one in extensions() if isinstance(one, Feature)}
    if taken := sorted(theirs.keys() & ours.keys()):
        raise PhonofilmError(f"a package offers a feature called {taken[0]}, which is the name of one of Phonofilm's")
    return ours | theirs
