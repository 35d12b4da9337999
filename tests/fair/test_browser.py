"""The report in a real browser, without network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sdl.fair import render_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH; apt-get install chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=1200,6000",
    "--run-all-compositor-stages-before-draw",
    "--virtual-time-budget=20000",
    "--dump-dom",
]
SORT = """<script>
const heads = document.querySelectorAll("th button");
const rows = () => Array.from(document.querySelectorAll(".sortable tbody tr"));
const column = (index) => rows().map((row) => row.cells[index].dataset.key);
heads[6].click();
document.body.dataset.peaks = column(6).join(" ");
heads[0].click();
heads[0].click();
document.body.dataset.numbers = column(0).join(" ");
</script>"""
"""Sorts the table by `peak`, then downwards by number, and notes what order that gave."""


def browse(page: Path, folder: Path, awaited: str = "", looks: int = 3) -> tuple[str, str]:
    """The page's elements once its scripts have run, and what the browser's console says.

    A busy machine may show the page before its first frame, in which nothing is drawn: then it is opened again.
    """
    rules = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    command = [str(BROWSER), *FLAGS, *rules, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    if awaited not in done.stdout and looks > 1:
        return browse(page, folder, awaited, looks - 1)
    return done.stdout, console


def test_page_works_without_network(journal, tmp_path) -> None:
    """From a file, without network, every figure becomes an SVG, the table sorts by a column's
    numbers with empty cells last, and the console stays silent."""
    page = tmp_path / "report.html"
    html = render_report(journal.state, journal.entries).replace("</body>", f"{SORT}</body>")
    page.write_text(html, encoding="utf-8")
    dom, console = browse(page, tmp_path, "js-plotly-plot")
    assert console == ""
    plots = dom.count('data-figure="')
    assert plots == 8
    assert len(re.findall(r'class="plot js-plotly-plot"', dom)) == plots
    assert dom.count('class="main-svg"') >= plots
    noted = dict(re.findall(r' data-(peaks|numbers)="([^"]*)"', dom))
    peaks = noted["peaks"].split(" ")
    assert len(peaks) == 20
    assert peaks[16:] == [""] * 4
    assert [float(peak) for peak in peaks[:16]] == sorted(float(peak) for peak in peaks[:16])
    assert noted["numbers"].split(" ") == [str(number) for number in range(20, 0, -1)]


def test_browser_reports_what_goes_wrong(tmp_path) -> None:
    """Negative control: an error in a script and a request that the page's policy forbids reach the console."""
    policy = "default-src 'none'; script-src 'unsafe-inline'"
    page = tmp_path / "bad.html"
    page.write_text(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<img src="https://example.org/x.png"><script>throw new Error("wrong")</script>',
        encoding="utf-8",
    )
    _, console = browse(page, tmp_path)
    assert "wrong" in console
    assert "example.org" in console
