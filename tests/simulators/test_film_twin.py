"""The twin of the thin-film lab: coating, annealing, cracks, conductivity, and where each film is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sdl.protocols import Clock
from sdl.simulators._heater_loop import loop_for
from sdl.simulators._plant import PlantError
from sdl.simulators.film import PLACES, FilmOptions, FilmTwin, Properties, ideal_film
from sdl.simulators.film.annealing import PROCESSES, Exposure, exposed, followed, rate
from sdl.simulators.film.atmosphere import Glovebox
from sdl.simulators.film.coating import Air, Layer, coverage_of, spin
from sdl.simulators.film.properties import Coat, properties_of

BEST = {"speed": 4480.0, "volume": 139.0, "anneal_temperature": 257.0, "anneal_time": 1200.0}
BOX = {
    "speed": (500.0, 6000.0),
    "volume": (50.0, 300.0),
    "anneal_temperature": (80.0, 400.0),
    "anneal_time": (300.0, 3600.0),
}
INK = FilmOptions()
QUIET = FilmOptions(film_spread=0.0, resistance_noise=0.0, thickness_noise=0.0)


class Hands(Clock):
    """Lab time that a test moves by hand."""

    speed = 1.0

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Bench:
    """A twin, and somebody who does with it what the instruments would."""

    def __init__(self, seed: int = 1, options: FilmOptions | None = None) -> None:
        self.clock = Hands()
        self.twin = FilmTwin(self.clock, seed=seed, options=options)
        self.loops = {bed: loop_for(plant, self.clock) for bed, plant in self.twin.beds.items()}

    def coat(self, speed: float, volume: float) -> None:
        self.twin.load()
        self.twin.dispense(volume)
        self.clock.time += 45.0
        self.twin.spin(speed, 45.0)

    def carry(self, source: str, target: str) -> None:
        self.twin.pick(source)
        self.clock.time += 10.0
        self.twin.put(target)

    def anneal(self, bed: str, temperature: float, seconds: float) -> None:
        """The plate is at its temperature when the pins go down, and the film is cold when this ends."""
        self.loops[bed].retarget(temperature)
        self.clock.time += 1800.0
        self.twin.beds[bed].lower(self.clock.time + seconds)
        self.clock.time += seconds + 900.0

    def trial(
        self,
        speed: float,
        volume: float,
        anneal_temperature: float,
        anneal_time: float,
        *,
        wait: float = 50.0,
        bed: str = "bed_a",
    ) -> Properties:
        """A film through all stations; it lies on the stage afterwards."""
        self.coat(speed, volume)
        self.clock.time += wait
        self.carry("chuck", bed)
        self.anneal(bed, anneal_temperature, anneal_time)
        self.carry(bed, "probe_stage")
        self.twin.moved(50.0)
        film = self.twin.properties("probe_stage")
        assert film is not None
        return film


def _measured(bench: Bench, points: int = 3) -> list[tuple[float | None, float | None]]:
    found = []
    for position in np.linspace(44.0, 56.0, points):
        bench.twin.moved(float(position))
        found.append((bench.twin.resistance(None), bench.twin.thickness()))
    return found


# Coating


def test_a_dry_film_goes_with_the_root_of_the_speed() -> None:
    """Four times the speed halves the dry film, whatever the volume, as evaporation and flow have it."""
    films = [spin(Layer().with_ink(v, INK), rpm, 90.0, INK, Air()).solids for rpm in (1500, 6000) for v in (100, 250)]
    assert films[0] == pytest.approx(films[1], rel=1e-6)
    assert films[0] / films[2] == pytest.approx(2.0, rel=1e-6)


def test_a_dry_film_goes_with_concentration_and_viscosity() -> None:
    """More solids give a thicker film in proportion and a little more, more viscous ink with the cube root."""

    def solids(**changed: Any) -> float:
        ink = INK.model_copy(update=changed)
        return spin(Layer().with_ink(200.0, ink), 3000.0, 120.0, ink, Air()).solids

    assert solids(solids=0.08) / solids(solids=0.04) == pytest.approx(2 * (0.96 / 0.92) ** (1 / 3), rel=1e-6)
    assert solids(viscosity=80.0) / solids(viscosity=10.0) == pytest.approx(2.0, rel=1e-6)
    assert solids(evaporation=8.0) / solids(evaporation=1.0) == pytest.approx(2.0, rel=1e-6)


def test_a_spin_that_ends_early_leaves_ink() -> None:
    """Before flow gives way to evaporation the film thins as Emslie, Bonner and Peck have it; two spins are one."""
    start = Layer().with_ink(200.0, INK)
    once = spin(start, 1000.0, 2.0, INK, Air())
    thinning = 1e6 * INK.density * (1000 * 2 * np.pi / 60) ** 2 / (3 * INK.viscosity)
    assert once.thickness == pytest.approx(start.thickness / np.sqrt(1 + 8 * thinning * start.thickness**2), rel=1e-9)
    assert once.wetness == pytest.approx(start.wetness)
    twice = spin(spin(start, 1000.0, 1.0, INK, Air()), 1000.0, 1.0, INK, Air())
    assert twice.thickness == pytest.approx(once.thickness, rel=1e-9)
    wet, dry = (spin(start, 1000.0, seconds, INK, Air()) for seconds in (10.0, 120.0))
    assert wet.solids == pytest.approx(dry.solids)
    assert wet.wetness > 10 * dry.wetness > 0
    assert spin(start, 0.0, 10.0, INK, Air()) == start


def test_humid_and_cold_air_dry_a_film_slowly() -> None:
    """The atmosphere enters weakly: 20 %RH more changes the thickness by less than 3 %."""
    start = Layer().with_ink(200.0, INK)
    dry, humid, cold = (spin(start, 3000.0, 60.0, INK, air).solids for air in (Air(22, 10), Air(22, 30), Air(20, 10)))
    assert 0.97 * dry < humid < dry
    assert 0.96 * dry < cold < dry


def test_too_little_ink_does_not_cover() -> None:
    """Coverage grows with volume and speed, and a film of 50 uL carries no current."""
    volumes = np.linspace(50, 300, 20)
    covered = [coverage_of(v, 3000.0) for v in volumes]
    assert covered == sorted(covered)
    assert covered[0] < 0.5
    assert covered[-1] > 0.999
    assert coverage_of(100.0, 6000.0) > coverage_of(100.0, 500.0)
    film = ideal_film(**{**BEST, "volume": 50.0})
    assert not film.continuous
    assert not film.cracked


# Annealing


def test_rates_follow_arrhenius() -> None:
    """The logarithm of each rate is a straight line over the inverse temperature."""
    celsius = np.array([100.0, 200.0, 300.0, 400.0])
    for process in PROCESSES:
        slope = np.diff(np.log(rate(process, celsius))) / np.diff(1 / (celsius + 273.15))
        assert slope == pytest.approx(slope[0] * np.ones(3))
        assert 50e3 < -slope[0] * 8.314 < 110e3


def test_heating_is_timed_between_readings() -> None:
    """A straight ramp is read as what it is; a later, cooler stay adds progress and changes nothing else."""
    times = np.linspace(0.0, 1200.0, 121)
    ramped = exposed(Exposure(), times, 40.0 + 15.0 * times / 60)
    assert ramped.heating_rate == pytest.approx(15.0, rel=1e-3)
    assert ramped.peak == pytest.approx(340.0)
    again = exposed(ramped, times, np.full_like(times, 200.0))
    more = [1200.0 * float(rate(process, np.array([200.0]))[0]) for process in PROCESSES]
    assert again.progress == pytest.approx([a + b for a, b in zip(ramped.progress, more, strict=True)])
    assert (again.peak, again.heating_rate) == (ramped.peak, ramped.heating_rate)
    assert exposed(Exposure(), times, np.full_like(times, 30.0)).heating_rate == 0.0


def test_progress_is_the_integral_of_the_rate() -> None:
    """Readings every 5 s give the integral over an exponential approach to a plate to one in 10 000."""
    for process in PROCESSES:
        found = []
        for step in (5.0, 0.05):
            times = np.arange(0.0, 600.0 + step / 2, step)
            film = followed(times, np.full_like(times, 300.0), 22.0, 90.0)
            found.append(exposed(Exposure(), times, film).progress[process])
        assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_film_follows_its_plate() -> None:
    """It approaches a steady plate exponentially, and lags behind a ramp by slope times time constant."""
    times = np.linspace(0.0, 1800.0, 361)
    film = followed(times, np.full_like(times, 200.0), 20.0, 90.0)
    np.testing.assert_allclose(film, 200.0 - 180.0 * np.exp(-times / 90.0), rtol=1e-9)
    ramp = followed(times, 20.0 + times / 3, 20.0, 90.0)
    assert ramp[-1] == pytest.approx(20.0 + 600.0 - 30.0, abs=1e-3)


def test_exposure_does_not_depend_on_who_looks() -> None:
    """A film in a furnace that is looked at every ten seconds has been through the same as one that is left alone."""
    alone, watched = Bench(options=QUIET), Bench(options=QUIET)
    for bench in (alone, watched):
        bench.coat(3000.0, 150.0)
        bench.carry("chuck", "bed_b")
        bench.loops["bed_b"].rate = 30.0
        bench.loops["bed_b"].retarget(250.0)
        bench.twin.beds["bed_b"].lower(bench.clock.time + 1500.0)
        for _ in range(180 if bench is watched else 1):
            bench.clock.time += 10.0 if bench is watched else 1800.0
            if bench is watched:
                bench.twin.properties("bed_b")
        bench.twin.pick("bed_b")
    one, other = (bench.twin.properties("gripper") for bench in (alone, watched))
    assert one is not None
    assert other is not None
    assert one.conductivity == pytest.approx(other.conductivity, rel=1e-6)
    assert one.grain > 70


def test_only_lowered_pins_heat_a_film() -> None:
    """On raised pins a film stays cold over a hot plate, also after its anneal, and lifting ends an anneal early."""
    films = []
    for down, lifted, left in (
        (0.0, None, 3600.0),
        (1200.0, None, 900.0),
        (1200.0, None, 7200.0),
        (3600.0, 1200.0, 9.0),
    ):
        bench = Bench(options=QUIET)
        bench.loops["bed_a"].retarget(255.0)
        bench.clock.time += 3600.0
        bench.coat(4000.0, 140.0)
        bench.carry("chuck", "bed_a")
        if down:
            bench.twin.beds["bed_a"].lower(bench.clock.time + down)
            bench.clock.time += lifted or down
        if lifted:
            bench.twin.beds["bed_a"].lift()
            bench.clock.time += 900.0
        bench.clock.time += left
        bench.twin.pick("bed_a")
        films.append(bench.twin.properties("gripper"))
    cold, soon, late, early = (film for film in films if film is not None)
    assert cold.grain < 21
    assert soon.grain > 60
    assert late.conductivity == pytest.approx(soon.conductivity, rel=1e-3)
    assert early.conductivity == pytest.approx(soon.conductivity, rel=1e-3)


def test_a_second_anneal_adds_to_the_first() -> None:
    """Two stays in a furnace, of half the time each, give nearly what one stay gives."""
    once, twice = Bench(options=QUIET), Bench(options=QUIET)
    for bench, stays in ((once, 1), (twice, 2)):
        bench.coat(4000.0, 140.0)
        bench.carry("chuck", "bed_a")
        for _ in range(stays):
            bench.anneal("bed_a", 240.0, 3000.0 / stays)
        bench.twin.pick("bed_a")
    one, other = once.twin.properties("gripper"), twice.twin.properties("gripper")
    assert one is not None
    assert other is not None
    assert other.grain == pytest.approx(one.grain, rel=0.05)
    assert other.grain != one.grain


def test_a_furnace_gives_what_ideal_says() -> None:
    """A film that goes through controller and bed is the one that a plate of one temperature gives."""
    film = Bench(options=QUIET).trial(**BEST)
    ideal = ideal_film(**BEST, options=QUIET)
    assert film.conductivity == pytest.approx(ideal.conductivity, rel=0.01)
    assert film.thickness == pytest.approx(ideal.thickness, rel=0.01)


# The film


def test_more_heat_sinters_and_then_draws_the_film_apart() -> None:
    """With the anneal's temperature porosity falls, grains grow and holes open; thin films open first."""
    films = [ideal_film(4000.0, 150.0, t, 1200.0) for t in np.linspace(90, 390, 16)]
    assert [f.porosity for f in films] == sorted((f.porosity for f in films), reverse=True)
    assert [f.grain for f in films] == sorted(f.grain for f in films)
    assert [f.dewetted for f in films] == sorted(f.dewetted for f in films)
    assert films[-1].dewetted > 0.5
    assert films[-1].conductivity == 0
    assert ideal_film(2500.0, 150.0, 300.0, 1200.0).dewetted < ideal_film(5500.0, 150.0, 300.0, 1200.0).dewetted


def test_thick_films_crack_and_fast_heating_cracks_more() -> None:
    """What drives a crack grows with thickness, temperature, heating rate and solvent left in the film."""
    drives = [ideal_film(rpm, 150.0, 260.0, 1200.0).crack_drive for rpm in (500, 1000, 2000, 4000)]
    assert drives == sorted(drives, reverse=True)
    assert drives[0] > 1 > drives[2]
    assert ideal_film(500.0, 150.0, 260.0, 1200.0).cracked
    slow, fast = (
        ideal_film(1700.0, 150.0, 260.0, 1200.0, options=FilmOptions(approach=approach)) for approach in (120.0, 30.0)
    )
    assert fast.cracked
    assert not slow.cracked
    at_once, rested = (ideal_film(1700.0, 150.0, 260.0, 1200.0, wait=wait) for wait in (0.0, 120.0))
    assert at_once.crack_drive > rested.crack_drive
    assert not ideal_film(500.0, 150.0, 85.0, 300.0, spin_time=120.0).cracked


def test_a_film_that_waits_is_spoilt() -> None:
    """Five minutes between coating and furnace cost about a tenth or two, twenty most of it, and humid air more."""
    waits = [ideal_film(**BEST, wait=wait).conductivity for wait in (60.0, 120.0, 300.0, 1200.0)]
    assert waits[1] > 0.95 * waits[0]
    assert 0.6 * waits[0] < waits[2] < 0.9 * waits[0]
    assert waits[3] < 0.2 * waits[0]
    humid = ideal_film(**BEST, wait=300.0, options=FilmOptions(humidity=40.0))
    assert humid.conductivity < 0.9 * waits[2]


def test_the_optimum_lies_inside() -> None:
    """Along each parameter the best conductivity is within the box and falls by a sixth towards some end."""
    best = ideal_film(**BEST).conductivity
    for name, (low, high) in BOX.items():
        line = [_conductivity({**BEST, name: value}) for value in np.linspace(low, high, 41)]
        top = int(np.argmax(line))
        assert 3 < top < 37, name
        assert line[top] == pytest.approx(best, rel=0.01), name
        assert min(line[0], line[-1]) < 0.84 * best, name
        assert max(line[0], line[-1]) < 0.97 * best, name


def test_some_of_the_box_cracks() -> None:
    """Of the box of parameters 10 to 25 per cent crack, and half or more gives a film that conducts."""
    rng = np.random.default_rng(0)
    low, high = np.array(list(BOX.values())).T
    films = [ideal_film(*values) for values in rng.uniform(low, high, (600, 4))]
    assert 0.10 < np.mean([film.cracked for film in films]) < 0.25
    assert np.mean([film.continuous for film in films]) > 0.5


def test_properties_of_nothing_are_nothing() -> None:
    """A bare substrate conducts nothing and does not crack."""
    bare = properties_of(Coat(0.0, 0.0, 0.0, 0.0), Exposure(peak=300.0), 330.0)
    assert bare.conductivity == 0
    assert not bare.cracked
    assert bare.thickness == 0


def test_a_trial_costs_little() -> None:
    """The physics of one trial takes less than 5 ms of this process."""
    bench = Bench()
    bench.trial(**BEST)
    bench.twin.moved(120.0)
    began = time.process_time()
    for _ in range(20):
        bench.trial(**BEST)
        _measured(bench)
        bench.twin.moved(120.0)
    assert (time.process_time() - began) / 20 < 5e-3


# Seeds


def test_a_seed_gives_the_same_film_again() -> None:
    """Equal seeds give equal readings, other seeds and other films others."""
    readings = []
    for seed in (1, 1, 2):
        bench = Bench(seed)
        bench.trial(**BEST)
        readings.append(_measured(bench))
        bench.twin.moved(120.0)
        if seed == 2:
            bench.trial(**BEST)
            readings.append(_measured(bench))
    assert readings[0] == readings[1]
    assert readings[1][0][0] != readings[2][0][0]
    assert readings[2][0][0] != readings[3][0][0]


def test_noise_does_not_depend_on_the_order_of_films() -> None:
    """Two films read alternately have the readings that each has when it is read alone."""
    bench = Bench()
    bench.trial(**BEST)
    first = _measured(bench)
    bench.twin.moved(120.0)
    bench.trial(**BEST, bed="bed_b")
    second = _measured(bench)
    other = Bench()
    other.coat(BEST["speed"], BEST["volume"])
    other.clock.time += 50.0
    other.carry("chuck", "bed_a")
    other.anneal("bed_a", BEST["anneal_temperature"], BEST["anneal_time"])
    other.coat(BEST["speed"], BEST["volume"])
    other.clock.time += 50.0
    other.carry("chuck", "bed_b")
    other.anneal("bed_b", BEST["anneal_temperature"], BEST["anneal_time"])
    other.carry("bed_b", "probe_stage")
    assert _numbers(_measured(other)) == pytest.approx(_numbers(second), rel=2e-3)
    other.twin.moved(120.0)
    other.carry("bed_a", "probe_stage")
    assert _numbers(_measured(other)) == pytest.approx(_numbers(first), rel=2e-3)


def test_a_few_seconds_more_or_less_change_little() -> None:
    """What a run at speed adds to waiting and annealing, 10 s of lab time, changes the conductivity by under 1 %."""
    one = Bench(options=QUIET).trial(**BEST)
    other = Bench(options=QUIET).trial(**{**BEST, "anneal_time": BEST["anneal_time"] + 10}, wait=60.0)
    assert one.conductivity == pytest.approx(other.conductivity, rel=0.01)


def test_readings_scatter_about_the_film() -> None:
    """The mean of many readings gives the film's conductivity; one reading is off by about 1 %."""
    bench = Bench(options=FilmOptions(film_spread=0.0))
    film = bench.trial(**BEST)
    found = []
    for _ in range(100):
        bench.twin.moved(50.0)
        resistance, thickness = bench.twin.resistance(None), bench.twin.thickness()
        assert resistance is not None
        assert thickness is not None
        found.append(np.log(2) / np.pi / resistance / (1e-9 * thickness))
    assert np.mean(found) == pytest.approx(film.conductivity, rel=0.005)
    assert 0.010 < np.std(found) / film.conductivity < 0.019


# Places


def test_films_go_from_place_to_place() -> None:
    """The twin knows where each film is, and the tray keeps those that were ejected in order."""
    bench = Bench()
    twin = bench.twin
    assert twin.magazine() == 400
    bench.coat(3000.0, 150.0)
    assert twin.films() == {"chuck": 1}
    twin.pick("chuck")
    assert twin.holding()
    assert twin.films() == {"gripper": 1}
    twin.put("bed_a")
    bench.coat(3000.0, 150.0)
    assert twin.films() == {"bed_a": 1, "chuck": 2}
    assert [twin.occupied(place) for place in PLACES] == [True, True, False, False, False]
    bench.carry("bed_a", "probe_stage")
    twin.moved(50.0)
    assert twin.occupied("probe_stage")
    twin.moved(120.0)
    assert not twin.occupied("probe_stage")
    assert [film.number for film in twin.tray] == [1]
    assert twin.magazine() == 398
    bench.carry("chuck", "tray")
    assert [film.number for film in twin.tray] == [1, 2]
    bench.carry("tray", "chuck")
    assert twin.films() == {"chuck": 2}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda t: t.pick("bed_b"), "there is no film at bed_b"),
        (lambda t: t.put("bed_a"), "the gripper is empty"),
        (lambda t: (t.load(), t.load()), "the chuck is taken by film 1"),
        (lambda t: (t.load(), t.pick("chuck"), t.load(), t.pick("chuck")), "the gripper holds film 1"),
        (lambda t: (t.load(), t.pick("chuck"), t.load(), t.put("chuck")), "chuck is taken by film 2"),
        (lambda t: (t.load(), t.pick("chuck"), t.load(), t.pick("shelf")), "does not reach 'shelf'; it reaches chuck"),
        (lambda t: [(t.load(), t.pick("chuck"), t.put("tray")) for _ in range(4)], "the magazine is empty"),
        (lambda t: [(t.load(), t.pick("chuck"), t.put("tray")) for _ in range(3)], "the tray is full"),
    ],
)
def test_what_cannot_be_is_said(act: Callable[[FilmTwin], object], message: str) -> None:
    """Nothing to pick, a place that is taken, an empty magazine, a full tray: each is an error that names it."""
    tray = 2 if "tray is full" in message else 10
    twin = FilmTwin(Hands(), seed=1, options=FilmOptions(substrates=3, ink=1.0, tray=tray))
    with pytest.raises(PlantError, match=message):
        act(twin)


def test_a_full_tray_takes_no_film_from_the_stage() -> None:
    """At the ejector a film stays on the stage while the tray is full."""
    bench = Bench(options=FilmOptions(tray=1))
    for _ in range(2):
        bench.twin.load()
        bench.carry("chuck", "probe_stage")
        bench.twin.moved(119.0)
        assert bench.twin.occupied("probe_stage")
        bench.twin.moved(120.0)
    assert bench.twin.films() == {"probe_stage": 2}
    assert [film.number for film in bench.twin.tray] == [1]


def test_what_is_not_there_is_not_measured() -> None:
    """Without a film, beside it and on a cracked one the circuit is open; the gauge tells the three apart."""
    bench = Bench()
    assert bench.twin.resistance(50.0) is None
    assert bench.twin.thickness() is None
    assert not bench.twin.cracked()
    bench.trial(**{**BEST, "speed": 500.0})
    assert bench.twin.resistance(50.0) is None
    assert bench.twin.cracked()
    assert (bench.twin.thickness() or 0) > 400
    bench.twin.moved(120.0)
    bench.trial(**BEST)
    assert bench.twin.resistance(10.0) is None
    assert bench.twin.resistance(50.0) is not None
    assert not bench.twin.cracked()


def test_ink_leaves_the_bottle() -> None:
    """The bottle loses volume times density, also when no substrate is under the needle, until it is empty."""
    twin = FilmTwin(Hands(), seed=1, options=FilmOptions(ink=1.0, density=1.5))
    full = twin.mass()
    twin.dispense(400.0)
    assert full - twin.mass() == pytest.approx(0.6)
    twin.dispense(700.0)
    assert full - twin.mass() == pytest.approx(1.5)
    assert twin.mass() == pytest.approx(twin.options.bottle)


def test_ageing_ends_in_the_furnace() -> None:
    """A film that lies in a cold furnace stays as it is; one that waits on the chuck does not."""
    films = []
    for on_chuck, in_bed in ((60.0, 0.0), (60.0, 3600.0), (3600.0, 0.0)):
        bench = Bench(options=QUIET)
        bench.coat(4000.0, 150.0)
        bench.clock.time += on_chuck
        bench.carry("chuck", "bed_a")
        bench.clock.time += in_bed
        bench.anneal("bed_a", 260.0, 1200.0)
        bench.twin.pick("bed_a")
        film = bench.twin.properties("gripper")
        assert film is not None
        films.append(film.conductivity)
    assert films[1] == pytest.approx(films[0], rel=1e-3)
    assert films[2] < 0.1 * films[0]


# The atmosphere


def test_humidity_follows_its_target() -> None:
    """The drier brings the humidity to its target within an hour, and a percent or two remain to wander."""
    clock = Hands()
    box = Glovebox(clock.now, humidity=20.0, seed=4)
    assert box.humidity() == pytest.approx(20.0, abs=2.0)
    box.humidity_target = 5.0
    assert box.humidity_target == 5.0
    assert box.humidity() == pytest.approx(20.0, abs=2.0)
    clock.time += 600.0
    assert box.humidity() == pytest.approx(5.0 + 15.0 / np.e, abs=2.0)
    clock.time += 3600.0
    assert box.humidity() == pytest.approx(5.0, abs=2.0)
    readings = set()
    for _ in range(10):
        clock.time += 3600.0
        readings.add(round(box.humidity(), 2))
        assert box.temperature() == pytest.approx(22.0, abs=0.5)
    assert len(readings) > 5
    box.humidity_target = 130.0
    assert box.humidity_target == 100.0


def test_options_have_units_and_limits() -> None:
    """Quantities convert, and what cannot be is refused."""
    options = FilmOptions.model_validate({"viscosity": "0.02 Pa*s", "ink": "50000 uL", "humidity": "12 percent"})
    assert (options.viscosity, options.ink, options.humidity) == (pytest.approx(20.0), pytest.approx(50.0), 12.0)
    for wrong in ({"solids": 0.5}, {"humidity": 120}, {"ink": "3 nm"}, {"colour": 1}):
        with pytest.raises(ValidationError):
            FilmOptions.model_validate(wrong)


def _conductivity(values: dict[str, float]) -> float:
    film = ideal_film(**values)
    return film.conductivity if film.continuous else 0.0


def _numbers(readings: list[tuple[float | None, float | None]]) -> list[float]:
    found = [value for pair in readings for value in pair]
    assert None not in found
    return [value for value in found if value is not None]
