"""The HTML report, read as a browser without a screen would."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from sdl.fair import render_report, write_report
from sdl.journal import kinds

LOADING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "manifest"}
VOID = {"meta", "link", "br", "img", "input", "hr", "source", "base", "embed", "wbr", "col", "area", "track"}


class Page(HTMLParser):
    """Elements, the text outside scripts and styles, script bodies, and all that a page would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles = ""
        self.loads: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name in LOADING]
        self.loads += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        if tag in ("link", "iframe", "object", "embed", "base", "img"):
            self.loads.append(tag)
        if tag == "a" and not re.match(r"#|https://orcid\.org/", found.get("href") or ""):
            self.loads.append(f"a {found.get('href')}")
        if tag == "script":
            self.scripts.append((found, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> within <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data) -> None:
        if self.open[-1:] == ["script"]:
            found, text = self.scripts[-1]
            self.scripts[-1] = (found, text + data)
        elif self.open[-1:] == ["style"]:
            self.styles += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]

    @property
    def figures(self) -> dict[str, dict]:
        return {
            str(found["id"]).removesuffix("-json"): json.loads(text)
            for found, text in self.scripts
            if found.get("type") == "application/json" and found["id"] != "dark"
        }


def page_of(journal) -> Page:
    return Page(render_report(journal.state, journal.entries))


def trace(figure: dict, name: str) -> dict:
    return next(found for found in figure["data"] if found.get("name") == name)


def test_file_from_a_store_is_complete(store, tmp_path) -> None:
    """The file loads nothing, forbids itself to load anything, and holds plotly.js once."""
    out = write_report(store, "c-1", tmp_path / "report.html")
    html = out.read_text(encoding="utf-8")
    page = Page(html)
    assert page.loads == []
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert html.count("* plotly.js v") == 1
    assert [path.name for path in tmp_path.glob("*.html")] == ["report.html"]


@pytest.mark.parametrize(
    "evil",
    [
        '<script src="https://example.org/x.js"></script>',
        '<img src="https://example.org/x.png">',
        '<a href="https://example.org">x</a>',
        '<p onclick="alert(1)">x</p>',
    ],
)
def test_reader_of_these_tests_sees_loads(evil) -> None:
    """Negative control: the page reader finds each way to load, follow or run something."""
    assert Page(f"<html><body>{evil}</body></html>").loads != []


HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>"\'{{ 7*7 }}'


def test_hostile_text_stays_text(new_journal, spec) -> None:
    """Titles, names, messages, levels and keys with HTML in them are shown letter by letter and run nowhere."""
    salt = {"kind": "categorical", "levels": [HOSTILE, "none"]}
    problem = {"parameters": {"salt": salt}, "objectives": spec["problem"]["objectives"]}
    creators = [{"name": HOSTILE, "affiliation": HOSTILE}]
    texts = {"title": HOSTILE, "description": HOSTILE, "licence": HOSTILE}
    journal = new_journal().create(problem=problem, creators=creators, **texts)
    journal.propose(1, {"salt": HOSTILE}, summary=HOSTILE).start(1, "mix", HOSTILE).done(1, "mix")
    journal.observe(1, {"peak": {"value": 450.0, "sem": 1.0, "unit": "nm"}})
    journal.propose(2, {"salt": "none"}).add(kinds.TRIAL_FAILED, trial=2, message=HOSTILE, device="", lab_seconds=1)
    page = page_of(journal)
    plain = page_of(new_journal().create(problem=problem | {"parameters": {"salt": {**salt, "levels": ["a", "b"]}}}))
    assert page.loads == plain.loads == []
    assert page.all("img") == []
    assert page.text.count(HOSTILE) >= 7
    for figure in page.figures.values():
        assert not re.search(r"<(?!br>)", json.dumps(figure, ensure_ascii=False)), "a plot text holds a tag"
    assert not any("<" in text for found, text in page.scripts if found.get("type") == "application/json")


def test_convergence_shows_every_trial(journal) -> None:
    """Observed trials with error bars, the best so far, the target, the stopping rule; lost trials in lanes."""
    figure = page_of(journal).figures["convergence-peak"]
    state = journal.state
    observed = [t for t in state.trials.values() if t.outcomes]
    dots = trace(figure, "observed")
    assert dots["x"] == [t.number for t in observed]
    assert dots["y"] == [t.outcomes["peak"].value for t in observed]
    assert dots["error_y"]["array"] == [1.25] * len(observed)
    misses = [abs(value - 450) for value in trace(figure, "best so far")["y"]]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] == min(abs(t.outcomes["peak"].value - 450) for t in observed)
    assert trace(figure, "target 450")["y"] == [450, 450]
    stops = {tuple(t["y"]) for t in figure["data"] if t["name"] == "stopping rule"}
    assert stops == {(448.0, 448.0), (452.0, 452.0)}
    assert trace(figure, "failed")["x"] == [9, 18]
    assert trace(figure, "infeasible")["x"] == [4, 13]


def test_a_panel_for_each_parameter(journal) -> None:
    """Each parameter has a panel with the best trial ringed; logarithmic and categorical axes are such."""
    figures = page_of(journal).figures
    panels = {name: figures[f"slice-peak-{name}"] for name in ("flow", "temperature", "drops", "salt")}
    assert panels["flow"]["layout"]["xaxis"]["type"] == "log"
    assert panels["salt"]["layout"]["xaxis"]["ticktext"] == ["クエン酸", "PVP", "none"]
    assert trace(panels["salt"], "failed")["x"] == [0, 0]
    best = min((t for t in journal.state.trials.values() if t.outcomes), key=_miss)
    ring = trace(panels["flow"], f"best: trial {best.number}")
    assert (ring["x"], ring["y"]) == ([best.parameters["flow"]], [best.outcomes["peak"].value])


def _miss(trial) -> float:
    return abs(trial.outcomes["peak"].value - 450)


def test_spectrum_of_the_best_trial_beside_the_target(journal) -> None:
    """The best trial's own spectrum is drawn, and the target input of its analysis."""
    best = min((t for t in journal.state.trials.values() if t.outcomes), key=_miss)
    figure = page_of(journal).figures["spectrum"]
    measured = trace(figure, f"trial {best.number}")
    peak = measured["x"][measured["y"].index(max(measured["y"]))]
    assert peak == pytest.approx(best.outcomes["peak"].value, abs=1.01)
    target = trace(figure, "target")
    assert target["x"][target["y"].index(max(target["y"]))] == 450.0


def test_calibration_only_with_predictions(journal, new_journal) -> None:
    """Predicted means stand over observed values; a campaign whose planner predicts nothing has no such figure."""
    dots = trace(page_of(journal).figures["calibration-peak"], "trials")
    assert len(dots["x"]) == len(dots["y"]) == 13
    assert dots["error_y"]["array"] == [6.0] * 13
    silent = new_journal().create().propose(1, {"flow": 2.0}).start(1, "mix", "flow")
    silent.observe(1, {"peak": {"value": 1.0, "sem": None, "unit": "nm"}})
    assert "calibration-peak" not in page_of(silent).figures


def test_timeline_has_each_step_on_its_station(journal) -> None:
    """Every step is a bar from its start, as long as it took, on the row of its station, by status."""
    figure = page_of(journal).figures["timeline"]
    done, failed = trace(figure, "done"), trace(figure, "failed")
    steps = [step for trial in journal.state.trials.values() for step in trial.steps]
    assert len(done["x"]) + len(failed["x"]) == len(steps)
    assert len(failed["x"]) == 2
    assert set(done["y"]) == {"flow", "optics"}
    assert done["x"][0] == (steps[0].ended_at - steps[0].started_at) / 1e6
    assert done["marker"]["pattern"]["shape"] != failed["marker"]["pattern"]["shape"]


def test_table_has_every_trial_exactly(journal) -> None:
    """The table has a row a trial, and each numeric cell carries its number exactly for sorting."""
    page = page_of(journal)
    [table] = [t for t in page.all("table") if t.get("class") == "sortable"]
    assert table is not None
    keys = [cell["data-key"] for cell in page.all("td") if "data-key" in cell]
    assert len(keys) == 20 * 12
    for trial in journal.state.trials.values():
        assert repr(trial.parameters["flow"]) in keys


def test_provenance_and_people_are_named(journal) -> None:
    """Versions, hashes of lab and inputs, the journal's head, licence, and creators linked by ORCID are there."""
    page = page_of(journal)
    for text in ("cd" * 32, "ab" * 32, journal.entries[-1].hash, "CC-BY-4.0", "Carberry, Josiah", "0.1.0"):
        assert text in page.text
    assert f"holds {len(journal.entries)} entries" in page.text
    assert {"href": "https://orcid.org/0000-0002-1825-0097", "rel": "noreferrer"} in page.all("a")


def test_page_is_accessible(journal) -> None:
    """Headings descend by one step at a time, ids are unique, figures have words, tables captions and scopes."""
    page = page_of(journal)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    plots = [found for _, found in page.elements if found.get("class") == "plot"]
    assert plots
    assert all(found["role"] == "img" and len(found["aria-label"] or "") > 20 for found in plots)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(found.get("scope") for found in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]
    labels = [found["aria-labelledby"] for found in page.all("section")]
    assert set(labels) <= set(ids)


def test_campaign_without_trials(new_journal) -> None:
    """Before the first trial the page says so and carries no figure and no plotly."""
    page = page_of(new_journal().create())
    assert page.figures == {}
    assert "No trial has been proposed." in page.text
    assert all(len(text) < 100_000 for _, text in page.scripts)


def test_campaign_with_failures_only(new_journal) -> None:
    """With nothing but faults there is no best trial, and the failed trials stand in their lane."""
    page = page_of(new_journal().create().search(5, lost_every=1))
    assert "No trial has been observed" in page.text
    assert trace(page.figures["convergence-peak"], "failed")["x"] == [1, 2, 3, 4, 5]
    assert not any(name.startswith("slice") for name in page.figures)


def test_many_parameters_and_several_objectives(new_journal, spec) -> None:
    """Twelve parameters and two objectives give a panel for every pair, and a convergence for each objective."""
    real = {"kind": "real", "low": 0, "high": 1, "unit": "1"}
    parameters = {f"p{i}": real for i in range(12)}
    width = {"width": {"kind": "minimize", "unit": "nm"}}
    problem = {"parameters": parameters, "objectives": spec["problem"]["objectives"] | width}
    journal = new_journal().create(problem=problem, title="銀ナノ粒子の連続合成")
    for number in range(1, 6):
        journal.propose(number, dict.fromkeys(parameters, number / 7)).start(number, "mix", "流路")
        peak = {"value": 440.0 + number, "sem": None, "unit": "nm"}
        journal.observe(number, {"peak": peak, "width": {"value": 50.0 - number, "sem": 0.5, "unit": "nm"}})
    page = page_of(journal)
    assert sum(name.startswith("slice") for name in page.figures) == 24
    assert {"convergence-peak", "convergence-width"} <= set(page.figures)
    assert "銀ナノ粒子の連続合成" in page.text
    assert page.figures["timeline"]["data"][0]["y"] == ["流路"] * 5


def test_five_hundred_trials(new_journal) -> None:
    """A long campaign makes a page of a few megabytes beyond plotly's own."""
    journal = new_journal().create().search(500)
    html = render_report(journal.state, journal.entries)
    assert len(Page(html).figures["convergence-peak"]["data"]) > 5
    assert len(html) < 9_000_000
