"""Who judges what, in which order: balanced incomplete blocks from a Latin square, as a pure function of the rater.

Think of a table of `rows` scenes by `columns` systems, and of one endless walk through its cells, column by column of a
Latin square. The rater in seat k takes the k-th stretch of `block` cells. So at any moment, for any number of raters,
no cell has been judged more than once more often than another; inside a stretch every system turns up equally often
(to within one for each time the walk starts over) and no scene twice before all others once. The square is Williams'
(1949), so that over its rows each system follows each other one equally often.
"""

from __future__ import annotations

from math import gcd


def williams(size: int) -> list[int]:
    """The first row 0, 1, n−1, 2, n−2 … of a Williams square; row r adds r to it, modulo n.

    For even n its neighbouring differences are all of 1 … n−1, each once; for odd n each one or its opposite, twice.
    """
    return [(place + 1) // 2 if place % 2 else (size - place // 2) % size for place in range(size)]


def cell(step: int, rows: int, columns: int) -> tuple[int, int]:
    """(row, column) of one step of the walk; any rows·columns steps on end visit each cell once."""
    lap, row = divmod(step, rows)
    return row, (williams(columns)[row % columns] + lap) % columns


def seat_cells(seat: int, block: int, rows: int, columns: int) -> list[tuple[int, int]]:
    """The cells of one seat in the order of presentation.

    Each seat starts elsewhere in its stretch, such that over `balanced_seats` seats every cell is shown at every
    position equally often.

    Raises:
        ValueError: there are fewer cells than the block needs.
    """
    if not 1 <= block <= rows * columns:
        raise ValueError(f"a rater can judge 1 to {rows * columns} of {rows}×{columns} clips, not {block}")
    period = rows * columns // gcd(rows * columns, block)
    turn = seat % period + seat // period
    return [cell(seat * block + (place + turn) % block, rows, columns) for place in range(block)]


def balanced_seats(block: int, rows: int, columns: int) -> tuple[int, int]:
    """Seats after which every cell was judged equally often; and also at every position equally often."""
    period = rows * columns // gcd(rows * columns, block)
    return period, period * block
