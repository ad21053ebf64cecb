"use strict";
// Keeps the overview up to date, and draws its charts. Without it the page shows the figures of when it was loaded.
const POLL_MS = 5000;
const page = document.getElementById("figures");
const stale = document.getElementById("stale");
const ended = document.getElementById("ended");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clockTime = (seconds, length) => new Date(seconds * 1000).toISOString().slice(11, length);
const number = new Intl.NumberFormat("en");

const CHARTS = [
  {
    id: "calls-chart",
    unit: "",
    lines: [["calls", "Calls", "--series-1"], ["failed", "Failed", "--series-2"], ["refused", "Refused", "--series-3"]],
    empty: (series) => !series.calls.some(Boolean) && !series.refused.some(Boolean),
  },
  {
    id: "latency-chart",
    unit: " ms",
    lines: [["p95_ms", "95%", "--series-2"], ["p50_ms", "50%", "--series-1"]],
    empty: (series) => !series.p95_ms.some((value) => value !== null),
  },
];
let figures = JSON.parse(page.dataset.figures);

// A minute between two without calls has no line: it is drawn as a point.
function alone(plot, index) {
  const values = plot.data[index];
  const there = (at) => (values[at] ?? null) !== null;
  return [...values.keys()].filter((at) => there(at) && !there(at - 1) && !there(at + 1));
}

function axis(more) {
  const rule = colour("--rule");
  return {
    stroke: colour("--quiet"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: rule, width: 1 },
    ticks: { stroke: rule, width: 1, size: 4 },
    ...more,
  };
}

class Chart {
  constructor(kind) {
    this.kind = kind;
    this.frame = document.getElementById(kind.id);
    this.place = this.frame.querySelector(".plot");
    this.legend = this.frame.querySelector(".legend");
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.place);
    this.draw();
  }

  size() {
    return { width: this.place.clientWidth, height: 180 };
  }

  data() {
    return [figures.series.at, ...this.kind.lines.map(([name]) => figures.series[name])];
  }

  // Anew when colours change.
  draw() {
    this.plot?.destroy();
    this.plot = new uPlot(
      {
        ...this.size(),
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        padding: [8, 18, 0, 0],
        scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 4)] } },
        axes: [
          axis({ space: 60, size: 28, values: (_, splits) => splits.map((at) => clockTime(at, 16)) }),
          axis({ size: 46, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? number.format(value) : "")) }),
        ],
        series: [
          {},
          ...this.kind.lines.map(([, , name], index) => ({
            stroke: colour(name),
            width: 1.75,
            fill: index === 0 ? colour(name) + "1f" : undefined,
            points: { show: true, filter: alone, size: 5 },
          })),
        ],
        hooks: { setCursor: [(plot) => this.say(plot.cursor.idx)] },
      },
      this.data(),
      this.place,
    );
    this.renew();
  }

  renew() {
    this.plot.setData(this.data());
    const nothing = this.kind.empty(figures.series);
    this.place.hidden = nothing;
    this.legend.hidden = nothing;
    this.frame.querySelector(".empty").hidden = !nothing;
    this.say(this.plot.cursor.idx);
  }

  // The figures of the minute under the cursor, or of the last one.
  say(index) {
    const { series } = figures;
    const last = index ?? series.at.length - 1;
    this.kind.lines.forEach(([name], line) => {
      const value = series[name][last];
      this.legend.children[line + 1].querySelector("b").textContent = value === null ? "–" : number.format(value) + this.kind.unit;
    });
    this.legend.children[0].textContent = `${clockTime(series.at[last], 16)} UTC`;
    this.place.setAttribute("aria-label", `${this.frame.querySelector("h2").textContent}. ${this.legend.textContent.replace(/\s+/g, " ").trim()}`);
  }
}

function cellsOf(table, rows) {
  const body = document.getElementById(table);
  const headings = [...body.closest("table").tHead.rows[0].cells].map((cell) => cell.textContent);
  body.replaceChildren(
    ...rows.map((values) => {
      const row = document.createElement("tr");
      values.forEach((value, column) => {
        const cell = row.insertCell();
        cell.dataset.heading = headings[column];
        if (typeof value === "number") cell.className = "number";
        const inner = document.createElement("div");
        inner.textContent = typeof value === "number" ? number.format(value) : value;
        cell.append(inner);
      });
      return row;
    }),
  );
  const frame = body.closest("section");
  frame.querySelector(".table").hidden = rows.length === 0;
  frame.querySelector(".empty").hidden = rows.length > 0;
}

function show() {
  for (const card of figures.cards) {
    const shown = document.getElementById(`card-${card.id}`);
    shown.className = card.state;
    shown.querySelector("b").textContent = card.value;
    shown.querySelector("small").textContent = card.note;
  }
  for (const part of figures.parts) {
    const shown = document.getElementById(`part-${part.name}`);
    if (shown === null) continue;
    shown.className = `badge ${part.state}`;
    shown.textContent = part.text;
  }
  cellsOf("failures", figures.failures.map((each) => [each.code, each.count]));
  cellsOf("refusals", figures.refusals.map((each) => [each.code, each.count]));
  cellsOf("pressure", figures.pressure.map((each) => [each.feature, each.users, each.near, each.reached]));
  document.getElementById("updated").textContent = `Updated ${figures.at.slice(11, 19)} UTC`;
  charts.forEach((chart) => chart.renew());
}

async function poll() {
  try {
    const answer = await fetch("/admin/overview/figures", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10000) });
    if (answer.status === 401 || answer.status === 403) {
      ended.hidden = false;
      stale.hidden = true;
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    figures = await answer.json();
    show();
    stale.hidden = true;
  } catch {
    stale.textContent = `Not updated since ${figures.at.slice(11, 19)} UTC. Trying again every ${POLL_MS / 1000} seconds.`;
    stale.hidden = false;
  }
  next();
}

let timer;
function next() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, POLL_MS);
}

const charts = CHARTS.map((kind) => new Chart(kind));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden && ended.hidden) poll();
});
next();
