"""Rigid bodies in a room with a floor and two walls, simulated by pymunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pymunk

from phonofilm.world.common.scene import TRACK_RATE

STEPS_PER_SAMPLE = 2
FLOOR, WALL, BODY = 1, 2, 3


@dataclass(frozen=True)
class Body:
    """A thing thrown into the room: lengths in world units, speeds in units/s, y down.

    Attributes:
        shape: "ball" (radius `size`) or "box" (half side `size`).
        restitution: share of the normal speed kept by a bounce.
    """

    shape: str
    size: float
    x: float
    y: float
    speed_x: float
    speed_y: float
    restitution: float
    angle: float = 0.0
    spin: float = 0.0


@dataclass(frozen=True)
class Contact:
    """A first touch: time in s, bodies involved, normal speed, where, and along which normal."""

    time: float
    bodies: tuple[int, ...]
    speed: float
    x: float
    y: float
    normal: tuple[float, float]


Push = Callable[[float, np.ndarray], Sequence[tuple[int, float, float]]]


def simulate(
    bodies: Sequence[Body],
    gravity: float,
    floor: float,
    walls: tuple[float, float],
    seconds: float,
    push: Push | None = None,
) -> tuple[np.ndarray, list[Contact]]:
    """Let the bodies fall.

    Args:
        push: asked at every sample with the time and the state [bodies, 5]; bodies whose speed it sets, and to what.

    Returns:
        float64 [S, bodies, 5]: x, y, angle, speed x, speed y at TRACK_RATE; and the contacts in order.
    """
    space = pymunk.Space()
    space.gravity = (0, gravity)
    space.collision_slop = 0.0005
    _add_room(space, floor, walls)
    moving = [_add_body(space, body, index) for index, body in enumerate(bodies)]
    contacts: list[Contact] = []
    clock = [0.0]
    _listen(space, clock, contacts)

    samples = round(seconds * TRACK_RATE) + 1
    path = np.empty((samples, len(bodies), 5))
    step = 1 / (TRACK_RATE * STEPS_PER_SAMPLE)
    for sample in range(samples):
        for index, body in enumerate(moving):
            path[sample, index] = (*body.position, body.angle, *body.velocity)
        for index, speed_x, speed_y in push(sample / TRACK_RATE, path[sample]) if push else ():
            moving[index].velocity = (speed_x, speed_y)
        for _ in range(STEPS_PER_SAMPLE):
            clock[0] += step
            space.step(step)
    return path, contacts


def _add_room(space: pymunk.Space, floor: float, walls: tuple[float, float]) -> None:
    edges = (
        (FLOOR, (-1, floor + 0.5), (2, floor + 0.5)),
        (WALL, (walls[0] - 0.5, -3), (walls[0] - 0.5, 2)),
        (WALL, (walls[1] + 0.5, -3), (walls[1] + 0.5, 2)),
    )
    for kind, start, end in edges:
        edge = pymunk.Segment(space.static_body, start, end, 0.5)
        edge.elasticity, edge.friction, edge.collision_type = 1.0, 0.5, kind
        space.add(edge)


def _add_body(space: pymunk.Space, thing: Body, index: int) -> pymunk.Body:
    if thing.shape == "ball":
        body = pymunk.Body(1.0, pymunk.moment_for_circle(1.0, 0, thing.size))
        shape: pymunk.Shape = pymunk.Circle(body, thing.size)
    else:
        # boxes land flat: a tumbling box would rattle faster than 12 frames a second can show
        body = pymunk.Body(1.0, float("inf"))
        shape = pymunk.Poly.create_box(body, (2 * thing.size, 2 * thing.size))
    body.position, body.velocity = (thing.x, thing.y), (thing.speed_x, thing.speed_y)
    body.angle, body.angular_velocity = thing.angle, thing.spin
    shape.elasticity, shape.friction, shape.collision_type = thing.restitution, 0.6, BODY
    shape.index = index  # type: ignore[attr-defined]
    space.add(body, shape)
    return body


def _listen(space: pymunk.Space, clock: list[float], contacts: list[Contact]) -> None:
    """Note every first touch, with the normal speed just before it."""

    def begin(arbiter: pymunk.Arbiter, space: pymunk.Space, data: object) -> None:
        first, second = arbiter.shapes
        normal = arbiter.normal
        speed = abs((first.body.velocity - second.body.velocity).dot(normal))  # type: ignore[union-attr]
        points = arbiter.contact_point_set.points
        x = sum(p.point_a.x for p in points) / len(points)
        y = sum(p.point_a.y for p in points) / len(points)
        touched = tuple(s.index for s in (first, second) if hasattr(s, "index"))
        contacts.append(Contact(clock[0], touched, speed, x, y, (normal.x, normal.y)))

    for pair in ((FLOOR, BODY), (WALL, BODY), (BODY, BODY)):
        space.on_collision(*pair, begin=begin)
