"use strict";
(function () {
  const dark = JSON.parse(document.getElementById("dark").textContent);
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = Array.from(document.querySelectorAll(".plot"));
  const drawn = new Set();

  function tinted(value, night) {
    if (Array.isArray(value)) return value.map((item) => tinted(item, night));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tinted(item, night)]));
    }
    return night && typeof value === "string" && Object.hasOwn(dark, value) ? dark[value] : value;
  }

  function draw(plot, night) {
    const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const shown = tinted(figure, night);
    const quiet = plot.dataset.small === "true";
    Plotly.react(plot, shown.data, shown.layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: quiet ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      scrollZoom: false,
    });
    drawn.add(plot);
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target, scheme.matches);
    }
  }, { rootMargin: "600px" });
  plots.forEach((plot) => seen.observe(plot));

  // What was not scrolled to is drawn a little later, one at a time: a page may be saved, or shown nowhere at all.
  function drawNext() {
    const next = plots.find((plot) => plot.clientWidth && !drawn.has(plot));
    if (next === undefined) return;
    draw(next, scheme.matches);
    setTimeout(drawNext, 50);
  }
  window.addEventListener("load", () => setTimeout(drawNext, 1000));

  scheme.addEventListener("change", () => drawn.forEach((plot) => draw(plot, scheme.matches)));
  window.addEventListener("beforeprint", () => plots.forEach((plot) => {
    if (plot.clientWidth) draw(plot, false);
  }));
  window.addEventListener("afterprint", () => drawn.forEach((plot) => draw(plot, scheme.matches)));

  function sort(table, column, numeric, descending) {
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [row.cells[column].dataset.key, row]);
    keyed.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b);
      return descending ? -order : order;
    });
    body.append(...keyed.map(([, row]) => row));
  }

  for (const head of document.querySelectorAll("table.sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(head.closest("table"), head.cellIndex, head.dataset.numeric === "true", descending);
    });
  }
})();
