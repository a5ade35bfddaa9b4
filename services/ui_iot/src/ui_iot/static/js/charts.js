/** The wall of charts of one device: one card a metric, made when the metric is first heard of. */

import { describe, printed } from "./format.js";
import { makePlot } from "./plot.js";
import { Series } from "./series.js";
import { onSchemeChange } from "./theme.js";

/** @typedef {import("./live.js").Reading} Reading */

const MOST_CHARTS = 48;
const DRAW_EVERY_MS = 250;
const SKEW_THAT_MATTERS_SECONDS = 5;

class Chart {
  series = new Series();
  /** @type {Reading | null} */
  #latest = null;
  #latestAt = -Infinity;
  /** @type {any} */
  #plot = null;

  /**
   * @param {string} name
   * @param {() => {from: number, to: number}} span
   */
  constructor(name, span) {
    this.name = name;
    this.metric = describe(name);
    this.span = span;
    this.card = card(name, this.metric);
    this.place = /** @type {HTMLElement} */ (this.card.querySelector(".plot"));
    new ResizeObserver(() => this.#resize()).observe(this.place);
  }

  /**
   * @param {number} seconds
   * @param {Reading} reading
   */
  push(seconds, reading) {
    if (typeof reading !== "string") this.series.push(seconds, Number(reading));
    if (seconds < this.#latestAt) return;
    this.#latest = reading;
    this.#latestAt = seconds;
  }

  clear() {
    this.series = new Series();
  }

  draw() {
    this.series.forgetBefore(this.span().from);
    this.card.classList.toggle("words", typeof this.#latest === "string");
    this.card.dataset.points = String(this.series.points);
    this.#write();
    if (typeof this.#latest === "string") return;
    if (!this.#plot && this.place.clientWidth) this.#plot = makePlot(this.#parts());
    this.#plot?.setData([this.series.times, this.series.values]);
  }

  redraw() {
    this.#plot?.redraw(false, true);
  }

  #parts() {
    return { place: this.place, series: this.series, metric: this.metric, window: this.span };
  }

  #resize() {
    this.#plot?.setSize({ width: this.place.clientWidth, height: this.place.clientHeight });
  }

  #write() {
    if (this.#latest === null) return;
    const [value, unit] = printed(this.name, this.#latest);
    const latest = /** @type {HTMLElement} */ (this.card.querySelector(".latest"));
    latest.replaceChildren(value, element("small", unit));
    const spread = typeof this.#latest === "number" ? this.series.spread() : null;
    const names = /** @type {const} */ (["high", "mean", "low"]);
    const texts = names.map((name) => (spread ? this.metric.format(spread[name]).join(" ") : ""));
    this.card.querySelectorAll(".spread dd").forEach((cell, index) => (cell.textContent = texts[index] ?? ""));
    /** @type {HTMLElement} */ (this.card.querySelector(".spread")).hidden = !spread;
    const [high, mean, low] = texts;
    const summary = spread ? `, highest ${high}, mean ${mean}, lowest ${low}` : "";
    this.place.setAttribute("aria-label", `${this.metric.title}: now ${value} ${unit}${summary}`);
  }
}

/** Every chart of a device, with one moving window for all. */
export class ChartWall {
  /** @type {Map<string, Chart>} */
  #charts = new Map();
  #behindSeconds = 0;
  #drawn = 0;
  #timer = 0;

  /**
   * @param {HTMLElement} place
   * @param {number} spanSeconds
   */
  constructor(place, spanSeconds) {
    this.place = place;
    this.spanSeconds = spanSeconds;
    setInterval(() => this.#soon(), 1000);
    onSchemeChange(() => this.#charts.forEach((chart) => chart.redraw()));
  }

  get empty() {
    return this.#charts.size === 0;
  }

  /**
   * @param {number} ts milliseconds, by the clock of who measured
   * @param {Record<string, Reading>} metrics
   */
  push(ts, metrics) {
    const late = Date.now() / 1000 - ts / 1000;
    this.#behindSeconds = Math.abs(late) > SKEW_THAT_MATTERS_SECONDS ? late : 0;
    this.#add(ts, metrics);
    this.#soon();
  }

  /** @param {import("./history.js").Point[]} points what the server remembers, in place of what was shown */
  load(points) {
    if (!points.length) return;
    const newest = /** @type {import("./history.js").Point} */ (points.at(-1)).ts;
    const held = [...this.#charts.values()].map((chart) => /** @type {const} */ ([chart, chart.series]));
    for (const [chart] of held) chart.clear();
    for (const { ts, metrics } of points) this.#add(ts, metrics);
    for (const [chart, series] of held) {
      series.times.forEach((time, index) => {
        const value = series.values[index];
        if (value !== null && value !== undefined && time * 1000 > newest) chart.series.push(time, value);
      });
    }
    this.#soon();
  }

  /**
   * @param {number} ts
   * @param {Record<string, Reading>} metrics
   */
  #add(ts, metrics) {
    for (const [name, reading] of Object.entries(metrics)) this.#chart(name)?.push(ts / 1000, reading);
  }

  /** @param {string} name */
  #chart(name) {
    const known = this.#charts.get(name);
    // Metric names come from the device: a broken one must not fill the browser with charts.
    if (known || this.#charts.size >= MOST_CHARTS) return known;
    const chart = new Chart(name, () => this.#span());
    this.#charts.set(name, chart);
    const after = [...this.#charts.keys()].sort().find((other) => other > name);
    this.place.insertBefore(chart.card, after ? (this.#charts.get(after)?.card ?? null) : null);
    return chart;
  }

  #span() {
    const to = Date.now() / 1000 - this.#behindSeconds;
    return { from: to - this.spanSeconds, to };
  }

  #soon() {
    if (this.#timer) return;
    const wait = Math.max(0, DRAW_EVERY_MS - (performance.now() - this.#drawn));
    this.#timer = setTimeout(() => requestAnimationFrame(() => this.#draw()), wait);
  }

  #draw() {
    this.#timer = 0;
    this.#drawn = performance.now();
    for (const chart of this.#charts.values()) chart.draw();
  }
}

/**
 * @param {string} tag
 * @param {string} text
 */
function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/**
 * @param {string} name
 * @param {import("./format.js").Metric} metric
 */
function card(name, metric) {
  const made = element("article", "", "chart panel");
  made.dataset.testid = `chart-${name}`;
  made.dataset.family = metric.family;
  made.dataset.points = "0";
  const head = element("div", "", "chart-head");
  const title = element("h3", metric.title);
  title.title = name;
  const latest = element("p", "", "latest");
  latest.dataset.testid = `latest-${name}`;
  const spread = element("dl", "", "spread");
  for (const word of ["high", "mean", "low"]) spread.append(element("dt", word), element("dd", ""));
  head.append(title, latest, spread);
  const plot = element("div", "", "plot");
  plot.setAttribute("role", "img");
  made.append(head, plot);
  return made;
}
