"""The schedule in the report: what each station did, how well it was used, samples and stock."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.stations import run_stations, stations_lab

from sdl.campaign.timeline import timeline
from sdl.fair import render_report, write_report
from sdl.journal import Store
from sdl.journal.state import CampaignState
from sdl.model import TrialStatus

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
STATIONS = ["coating", "transport", "furnace_a", "furnace_b", "probing"]


class Page(HTMLParser):
    """Figures, the cells of tables by caption, ids of sections, paragraphs, and whatever a page would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.sections: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._figure = ""
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._open.append(tag)
        self._figure = str(found.get("id", "")) if found.get("type") == "application/json" else ""
        self.loads += [name for name, _ in attrs if name in ("src", "srcset") or name.startswith("on")]
        if tag == "section":
            self.sections.append(str(found["aria-labelledby"]))
        elif tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag == "td":
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption.strip()] = [row for row in self._rows if row]

    def handle_data(self, data: str) -> None:
        if self._figure and self._open[-1:] == ["script"]:
            self.figures[self._figure.removesuffix("-json")] = json.loads(data)
        elif "td" in self._open:
            self._rows[-1][-1] += data
        elif self._open[-1:] == ["caption"]:
            self._caption += data
        elif self._open[-1:] not in (["script"], ["style"]):
            self.text += data


class Made:
    """A campaign that was run, and its report."""

    def __init__(self, folder: Path) -> None:
        with Store.open(folder / "sdl.db", create=False) as store:
            id_ = store.resolve("films")
            self.state: CampaignState = store.state(id_)
            self.entries = list(store.entries(id_))
            self.file = write_report(store, id_, folder / "report.html")
        self.html = self.file.read_text(encoding="utf-8")
        self.page = Page(self.html)
        self.shown = timeline(self.state)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Eight trials; one infeasible, those annealed for longer than 28 minutes failed through a fault."""
    folder = tmp_path_factory.mktemp("ended")
    run_stations(stations_lab(folder, faulty_above=28.0, on_fault="fail"))
    return Made(folder)


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in figure["data"] if found.get("name") == name)


def steps(figure: dict[str, Any]) -> list[dict[str, Any]]:
    """Traces whose bars are attempts of steps."""
    return [found for found in figure["data"] if found["type"] == "bar" and "text" in found]


def test_gantt_has_every_step_where_it_was(ended: Made) -> None:
    """Each attempt is a bar on its station's row, from its start, as long as it took, with its trial and parameters."""
    figure = ended.page.figures["gantt"]
    ticks = figure["layout"]["yaxis"]
    rows = dict(zip(ticks["tickvals"], ticks["ticktext"], strict=True))
    assert [rows[value] for value in sorted(rows, reverse=True)] == STATIONS
    scale = 60.0 if "min" in figure["layout"]["xaxis"]["title"]["text"] else 3600.0
    drawn = []
    for bars in steps(figure):
        for row, base, length, text in zip(bars["y"], bars["base"], bars["x"], bars["text"], strict=True):
            drawn.append((rows[row], round(base * scale, 3), round(length * scale, 3), int(text)))
    said = [(bar.station, round(bar.start, 3), round(bar.seconds, 3), bar.trial) for bar in ended.shown.bars]
    assert sorted(drawn) == sorted(said)
    done = trace(figure, "done")
    minutes = f"minutes = {ended.state.trials[1].parameters['minutes']:.5g} min"
    first = next(t for t in done["hovertext"] if t.startswith("Trial 1 · anneal"))
    assert minutes in first
    assert "planned on furnace_" in first
    colours = dict(zip(done["text"], done["marker"]["color"], strict=True))
    assert len(set(colours.values())) == 8


def test_planned_faults_and_lost_trials_are_marked(ended: Made) -> None:
    """Plans are outlines; a fault has a pattern; infeasible and failed trials end in marks of their own."""
    figure = ended.page.figures["gantt"]
    planned = trace(figure, "planned")
    assert len(planned["x"]) == len(ended.shown.planned) == 8 * 4
    assert planned["marker"]["color"] == "rgba(0,0,0,0)"
    assert max(planned["width"], 0) < trace(figure, "done")["width"]
    failed = [t.number for t in ended.state.trials.values() if t.status is TrialStatus.FAILED]
    lost = [t.number for t in ended.state.trials.values() if t.status is TrialStatus.INFEASIBLE]
    assert failed
    assert lost
    faults = [found for found in steps(figure) if found["name"] == "fault or interrupted"]
    assert sorted(int(text) for fault in faults for text in fault["text"]) == failed
    assert all(fault["marker"]["pattern"]["shape"] == "x" for fault in faults)
    assert all("the needle is bent" in text for fault in faults for text in fault["hovertext"])
    assert len(trace(figure, "failed trial")["x"]) == len(failed)
    assert len(trace(figure, "infeasible trial")["x"]) == len(lost)
    assert "the film is cracked" in trace(figure, "infeasible trial")["text"][0]


def test_use_of_the_stations(ended: Made) -> None:
    """Each station's shares add up to the whole, and are those of the timeline."""
    figure = ended.page.figures["utilisation"]
    names = ("at work", "set-up", "blocked by a sample that waits", "idle")
    shares = {name: dict(zip(trace(figure, name)["y"], trace(figure, name)["x"], strict=True)) for name in names}
    for use in ended.shown.uses:
        assert sum(shares[name][use.station] for name in names) == pytest.approx(100.0)
        assert shares["at work"][use.station] == pytest.approx(100 * use.share(use.work))
        assert shares["blocked by a sample that waits"][use.station] == pytest.approx(100 * use.share(use.blocked))


def test_words_name_the_bottleneck(ended: Made) -> None:
    """The section says what held the campaign up, how it compares with the bound, and whether waits were kept."""
    assert ended.shown.bottleneck is not None
    assert ended.shown.bottleneck.sentence in ended.page.text
    assert f"{ended.shown.makespan / ended.shown.bound:.2f} times the work of the busiest stations" in ended.page.text
    limited = [wait for wait in ended.shown.waits if wait.most is not None]
    # The film of the trial that failed stays in its furnace, and one that was coated by then has to wait.
    [broken] = ended.shown.broken
    said = f"1 of {len(limited)} waits that have a limit were longer than it; the worst: trial {broken.trial} waited"
    assert said in ended.page.text
    held = next(s.id for s in ended.state.samples.values() if s.status.value == "quarantined")
    assert f"in the end with sample {held} in it, which is in quarantine" in ended.page.text


def test_samples_and_stock(ended: Made) -> None:
    """Where each sample is, and what was used and is left of each lot."""
    samples = next(rows for caption, rows in ended.page.tables.items() if caption.startswith("8 samples"))
    assert [int(row[2]) for row in samples] == list(range(1, 9))
    for row in samples:
        status = ended.state.trials[int(row[2])].status
        assert row[3] == ("quarantined" if status is TrialStatus.FAILED else "archived")
        if status is not TrialStatus.FAILED:
            assert re.match(r"tray, slot \d+$", row[4])
    [stock] = next(rows for caption, rows in ended.page.tables.items() if caption.startswith("What this campaign used"))
    assert stock == ["substrate", "S-1", "8", "0", "92"]


def test_page_stays_complete(ended: Made) -> None:
    """One file that loads nothing; the schedule takes the place of the steps by station."""
    assert ended.page.loads == []
    assert {"schedule", "samples"} <= set(ended.page.sections)
    assert "timeline" not in ended.page.figures
    assert ended.html.count("* plotly.js v") == 1
    # Without the store the samples are still known, and the stock is not.
    bare = Page(render_report(ended.state, ended.entries))
    assert any(caption.startswith("8 samples") for caption in bare.tables)
    assert not any(caption.startswith("What this campaign used") for caption in bare.tables)


def test_one_trial_at_a_time_has_no_schedule(journal: Any) -> None:
    """A campaign without samples, one trial after another, keeps its steps by station."""
    page = Page(render_report(journal.state, journal.entries))
    assert "timeline" in page.figures
    assert not {"gantt", "utilisation"} & set(page.figures)
    assert not {"schedule", "samples"} & set(page.sections)


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH; apt-get install chromium")
def test_chart_is_drawn_in_a_browser(ended: Made, tmp_path: Path) -> None:
    """From a file, without network, the bars of the chart are drawn with the numbers of their trials."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--enable-logging=stderr", "--window-size=1200,9000", "--run-all-compositor-stages-before-draw"]
    flags += ["--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    command = [str(BROWSER), *flags, f"--user-data-dir={tmp_path / 'profile'}", ended.file.as_uri()]
    for _ in range(3):  # a busy machine may show the page before its first frame
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
        if "barlayer" in done.stdout:
            break
    assert "CONSOLE" not in done.stderr
    chart = done.stdout.split('id="gantt"')[1].split("</figure>")[0]
    bars = re.findall(r'<g class="point"><path d="M(?!0,0Z)', chart)
    assert len(bars) == len(ended.shown.bars) + len(ended.shown.planned)
    numbers = set(re.findall(r"<text class=\"bartext[^>]*>(\d+)</text>", chart))
    assert numbers == {str(number) for number in ended.state.trials}
