"""How a feed-forward is divided into experts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpertsConfig:
    """Widths are shares of the hidden units that the feed-forward has without experts.

    With shared + used · width = 1 a token costs what it costs without experts.

    Attributes:
        count: experts that a token chooses from, in each feed-forward of each stream; 0 is none of all this.
        used: experts that a token uses.
        shared: width of the expert that all tokens use.
        width: width of each of the others.
        rate: how far a step of training moves the balance of an expert that is used too much or too little.
    """

    count: int = 0
    used: int = 2
    shared: float = 0.5
    width: float = 0.25
    rate: float = 0.001

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"experts.count = {self.count} is not possible; it is 0 (none) or more")
        if self.count and not 1 <= self.used <= self.count:
            raise ValueError(f"experts.used = {self.used} is not possible with {self.count} experts to choose from")
        for name in ("shared", "width"):
            if not 0 < (value := getattr(self, name)) <= 1:
                raise ValueError(f"experts.{name} = {value:g} is not possible; it is a share above 0 and at most 1")
        if self.rate < 0:
            raise ValueError(f"experts.rate = {self.rate:g} is not possible; it is 0 or more")

    @property
    def active(self) -> float:
        """Hidden units that a token uses, as a share of those without experts."""
        return self.shared + self.used * self.width if self.count else 1.0

    def units(self, hidden: int) -> tuple[int, int]:
        """Hidden units of the shared expert and of each other one, of `hidden` without experts.

        Raises:
            ValueError: an expert would have none.
        """
        found = round(hidden * self.shared), round(hidden * self.width)
        if min(found) < 1:
            raise ValueError(f"experts of {self.shared:g} and {self.width:g} of {hidden} hidden units have none")
        return found
