"""Performance metrics of a campaign, from its journal, each with its definition.

The metrics are those that A. A. Volk and M. Abolhasani propose for self-driving labs (Nature Communications 15, 1378,
2024, doi:10.1038/s41467-024-45569-5); acceleration and enhancement factor as A. D. Adesiji et al. use them (Digital
Discovery, 2025, doi:10.1039/D5DD00337G). Whatever cannot be computed says why. Times are lab time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdl.fair._metric import SOURCE, Metric, MetricGroup
from sdl.fair._metrics_material import material
from sdl.fair._metrics_reference import NO_REFERENCE, of_campaigns, of_pool
from sdl.fair._metrics_running import RunFacts, autonomy, lifetime, throughput, use_of_stations
from sdl.fair._metrics_search import Reference, efficiency, precision, space
from sdl.journal.state import CampaignState, fold
from sdl.model import InputError

if TYPE_CHECKING:
    from sdl.fair.exports import ExportedFile
    from sdl.fair.record import CampaignRecord
    from sdl.journal import Entry, Store

__all__ = ["Metric", "MetricGroup", "Metrics", "metrics_from", "metrics_of", "write"]


@dataclass(frozen=True)
class Metrics:
    """The performance metrics of a campaign."""

    campaign: str
    """Id."""
    name: str
    simulated: tuple[str, ...]
    """Devices that were simulated: what they tell of time is the simulation's."""
    groups: tuple[MetricGroup, ...]

    def __getitem__(self, key: str) -> MetricGroup:
        """A group: autonomy, lifetime, throughput, precision, material, space, efficiency or utilisation.

        Raises:
            KeyError: there is none.
        """
        for group in self.groups:
            if group.key == key:
                return group
        raise KeyError(key)

    def as_json(self) -> dict[str, Any]:
        """For other programs and for releases."""
        return {
            "campaign": self.campaign,
            "name": self.name,
            "source": SOURCE,
            "simulated": list(self.simulated),
            "metrics": {
                group.key: {"title": group.title, "metrics": {m.key: _plain(m) for m in group.metrics}}
                for group in self.groups
            },
        }


def _plain(metric: Metric) -> dict[str, Any]:
    return {key: value for key, value in asdict(metric).items() if key != "key" and value != {}}


def metrics_of(store: Store, campaign: str, baseline: str = "") -> Metrics:
    """The metrics of a campaign.

    Args:
        store: an open store.
        campaign: id.
        baseline: campaign to compare its efficiency with; by default the pool, or whatever searched the same problem
            at random in the store.

    Raises:
        InputError: the campaign has not begun, or the baseline is not there or has another problem.
        StoreError: an entry is missing or was changed.
    """

    def reference(state: CampaignState) -> Reference | None:
        own = None if baseline else of_pool(state, _lab(state))
        return own or of_campaigns(store, state, store.resolve(baseline) if baseline else "")

    return _metrics(store.entries(campaign), campaign, reference)


def metrics_from(entries: Iterable[Entry], campaign: str) -> Metrics:
    """The metrics as the journal of the campaign alone tells them.

    Args:
        entries: all of the campaign, in order; read once.
        campaign: id.

    Raises:
        InputError: the campaign has not begun.
    """
    return _metrics(entries, campaign, lambda state: of_pool(state, _lab(state)))


def _metrics(entries: Iterable[Entry], campaign: str, reference: Any) -> Metrics:
    from sdl.campaign.timeline import timeline

    facts, state = RunFacts(), CampaignState(id=campaign)
    for entry in entries:
        state = fold(state, entry)
        facts.add(entry)
    if state.spec is None:
        raise InputError(f"campaign {campaign} has not begun: there is nothing to measure")
    shown, lab = timeline(state, live=False), _lab(state)
    held = [(name, station.devices) for name, station in lab.stations.items()] if lab is not None else []
    groups = (
        autonomy(state, facts),
        lifetime(state, facts),
        throughput(state, facts, shown),
        precision(state),
        material(state, lab),
        space(state),
        efficiency(state, reference(state), NO_REFERENCE),
        use_of_stations(state, shown, held),
    )
    return Metrics(campaign, state.name, tuple(sorted(facts.simulated)), groups)


def _lab(state: CampaignState) -> Any:
    from sdl.campaign.recipe import recipe_of

    recipe = recipe_of(state)
    return recipe.lab if recipe is not None else None


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write `metrics.json` into a release.

    Args:
        record: the campaign.
        folder: of the release.
    """
    from sdl.fair._files import write_text
    from sdl.fair.exports import ExportedFile

    found = metrics_from(_entries(record), record.id)
    write_text(
        folder / "metrics.json", json.dumps(found.as_json(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    )
    return [ExportedFile("metrics.json", "application/json", SOURCE, "Performance metrics, each with its definition")]


def _entries(record: CampaignRecord) -> Iterator[Entry]:
    for released in record.journal():
        yield released.entry
