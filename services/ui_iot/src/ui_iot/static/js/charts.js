/** The wall of charts of one device: one card a metric, made when the metric is first heard of. */

import { Chart } from "./chart.js";
import { onSchemeChange } from "./theme.js";

/** @typedef {import("./live.js").Reading} Reading */

const MOST_CHARTS = 48;
const DRAW_EVERY_MS = 250;
const SKEW_THAT_MATTERS_SECONDS = 5;
const FAMILIES = ["ratio", "plain", "rate", "heat", "size"];

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
    for (const [name, reading] of Object.entries(metrics)) this.#chart(name, reading)?.push(ts / 1000, reading);
  }

  /**
   * @param {string} name
   * @param {Reading} first
   */
  #chart(name, first) {
    const known = this.#charts.get(name);
    // Metric names come from the device: a broken one must not fill the browser with charts.
    if (known || this.#charts.size >= MOST_CHARTS) return known;
    const chart = new Chart(name, first, () => this.#span());
    this.#charts.set(name, chart);
    const after = [...this.#charts.values()].sort(inOrder);
    this.place.insertBefore(chart.card, after[after.indexOf(chart) + 1]?.card ?? null);
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
 * What is measured alike stands together.
 * @param {Chart} one
 * @param {Chart} other
 */
function inOrder(one, other) {
  const rank = (/** @type {Chart} */ chart) => FAMILIES.indexOf(chart.metric.family) + (chart.metric.states ? 9 : 0);
  return rank(one) - rank(other) || one.name.localeCompare(other.name);
}
