"""The twin of the thin-film lab: substrates, where they are, and what the instruments do to them."""

from __future__ import annotations

import math

from sdl.protocols import Clock
from sdl.simulators._plant import PlantError
from sdl.simulators.film.atmosphere import Glovebox
from sdl.simulators.film.film import Film
from sdl.simulators.film.furnace import FurnaceBed
from sdl.simulators.film.options import FilmOptions
from sdl.simulators.film.properties import Properties

__all__ = ["PLACES", "FilmTwin"]

PLACES = ("chuck", "bed_a", "bed_b", "probe_stage", "tray")
"""Where the robot reaches."""
_THERE = 0.01
"""How near the ejector the stage has to be, mm."""
_SHEET = math.log(2) / math.pi
"""Resistance between the inner needles over that of the sheet.

Four needles in line on a wide sheet: F. M. Smits, Bell Syst. Tech. J. 37, 711 (1958),
doi:10.1002/j.1538-7305.1958.tb03883.x.
"""


class FilmTwin:
    """What the instruments of a thin-film lab act on; all times are lab time.

    It is the plant of the coater, the robot, the stage, the probe and the gauge, and its parts are those of the
    furnaces and the glovebox.

    Args:
        clock: lab time; the twin's begins with it.
        seed: of what differs from film to film, of noise, and of the atmosphere.
        options: ink, surroundings, noise.
        middle: position of the stage at which the middle of a film is under the probe, mm.
        eject: position of the stage at which a film falls into the tray, mm.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int,
        options: FilmOptions | None = None,
        middle: float = 50.0,
        eject: float = 120.0,
    ) -> None:
        self.options = options or FilmOptions()
        self._clock, self._begin = clock, clock.now()
        self.glovebox = Glovebox(self._now, humidity=self.options.humidity, ambient=self.options.ambient, seed=seed)
        """Atmosphere of the coater."""
        self.beds = {
            "bed_a": FurnaceBed(clock, ambient=self.options.ambient, approach=self.options.approach),
            "bed_b": FurnaceBed(clock, ambient=self.options.ambient, approach=self.options.approach),
        }
        """Plants of the furnaces."""
        self.middle, self.eject = middle, eject
        self.tray: list[Film] = []
        """Films that were ejected, in order."""
        self._seed = seed
        self._films: dict[str, Film] = {}
        self._gripper: Film | None = None
        self._loaded = 0
        self._ink = 1000 * self.options.ink
        self._position = 0.0

    def _now(self) -> float:
        return self._clock.now() - self._begin

    # The coater

    def load(self) -> None:
        """A new substrate comes from the magazine onto the chuck.

        Raises:
            PlantError: the magazine is empty or the chuck is taken.
        """
        if "chuck" in self._films:
            raise PlantError(f"the chuck is taken by film {self._films['chuck'].number}")
        if self.magazine() == 0:
            raise PlantError("the magazine is empty")
        self._loaded += 1
        self._films["chuck"] = Film(self._loaded, self._seed, self.options, humidity=self.options.humidity)

    def dispense(self, microlitres: float) -> None:
        """Ink goes onto the plate on the chuck, or past it when there is none; no more than the bottle holds."""
        given = min(microlitres, self._ink)
        self._ink -= given
        film = self._films.get("chuck")
        if film is not None:
            film.dispense(given)

    def spin(self, rpm: float, seconds: float) -> None:
        """The chuck has turned at `rpm` for `seconds`."""
        film = self._films.get("chuck")
        if film is not None:
            film.spin(rpm, seconds, self.glovebox.air(), self._now())

    def magazine(self) -> int:
        """Substrates left in the magazine."""
        return self.options.substrates - self._loaded

    def mass(self) -> float:
        """Of the ink's bottle, g."""
        return self.options.bottle + self._ink / 1000 * self.options.density

    # The robot

    def pick(self, place: str) -> None:
        """The gripper takes the film at `place`.

        Raises:
            PlantError: there is none, the gripper is taken, or the robot does not reach the place.
        """
        self._reach(place)
        if self._gripper is not None:
            raise PlantError(f"the gripper holds film {self._gripper.number}")
        if not self.occupied(place):
            raise PlantError(f"there is no film at {place}")
        if place == "tray":
            self._gripper = self.tray.pop()
            return
        film = self._gripper = self._films.pop(place)
        if place in self.beds:
            film.exposure = self.beds[place].remove() or film.exposure

    def put(self, place: str) -> None:
        """The gripper leaves its film at `place`.

        Raises:
            PlantError: the gripper is empty, the place is taken, or the robot does not reach it.
        """
        self._reach(place)
        film = self._gripper
        if film is None:
            raise PlantError("the gripper is empty")
        if place == "tray":
            if len(self.tray) >= self.options.tray:
                raise PlantError(f"the tray is full: it holds {len(self.tray)} films")
            self.tray.append(film)
        elif place in self._films:
            raise PlantError(f"{place} is taken by film {self._films[place].number}")
        else:
            self._films[place] = film
        if place in self.beds:
            film.enter_furnace(self.glovebox.air(), self._now())
            self.beds[place].insert(film.exposure)
        self._gripper = None

    def occupied(self, place: str = "chuck") -> bool:
        """Whether a film is at `place`; on the chuck when none is named, as the coater asks."""
        return bool(self.tray) if place == "tray" else place in self._films

    def holding(self) -> bool:
        """Whether the gripper holds a film."""
        return self._gripper is not None

    # The probing station

    def moved(self, position_mm: float) -> None:
        """The stage has arrived; at its ejector its film falls into the tray, unless that is full."""
        self._position = position_mm
        ejects = abs(position_mm - self.eject) < _THERE and len(self.tray) < self.options.tray
        if ejects and "probe_stage" in self._films:
            self.tray.append(self._films.pop("probe_stage"))

    def resistance(self, position_mm: float | None = None) -> float | None:
        """Voltage between the inner needles over the current through the outer ones, ohm; None for an open circuit.

        Args:
            position_mm: of the stage; where it stands when left out.
        """
        film = self._films.get("probe_stage")
        if film is None:
            return None
        sheet = film.sheet_resistance(self._properties(film, "probe_stage"), self._offset(position_mm))
        return None if sheet is None else _SHEET * sheet

    def thickness(self) -> float | None:
        """A reading of the gauge, nm; None without a film."""
        film = self._films.get("probe_stage")
        if film is None or film.layer.solids <= 0:
            return None
        return film.thickness(self._properties(film, "probe_stage"), self._offset(None))

    def cracked(self) -> bool:
        """Whether the gauge sees cracks."""
        film = self._films.get("probe_stage")
        return film is not None and self._properties(film, "probe_stage").cracked

    def properties(self, place: str) -> Properties | None:
        """What the film at a place (or in the `gripper`) really is; None without one."""
        film = self._gripper if place == "gripper" else self._films.get(place)
        return None if film is None else self._properties(film, place)

    def films(self) -> dict[str, int]:
        """Where each film is: place → its number; without those in the tray."""
        held = {} if self._gripper is None else {"gripper": self._gripper.number}
        return {place: film.number for place, film in self._films.items()} | held

    def _properties(self, film: Film, place: str) -> Properties:
        if place in self.beds:
            film.exposure = self.beds[place].exposure() or film.exposure
        return film.properties(film.exposure, self.glovebox.air(), self._now())

    def _offset(self, position: float | None) -> float:
        return (self._position if position is None else position) - self.middle

    def _reach(self, place: str) -> None:
        if place not in PLACES:
            raise PlantError(f"the robot does not reach {place!r}; it reaches {', '.join(PLACES)}")
