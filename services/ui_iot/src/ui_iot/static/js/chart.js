/** The card of one metric: its name, latest reading, spread and curve. */

import { describe, describeStates, printed } from "./format.js";
import { makePlot } from "./plot.js";
import { Series } from "./series.js";

/** @typedef {import("./live.js").Reading} Reading */

export class Chart {
  series = new Series();
  /** @type {Reading | null} */
  #latest = null;
  #latestAt = -Infinity;
  /** @type {any} */
  #plot = null;

  /**
   * @param {string} name
   * @param {Reading} first
   * @param {() => {from: number, to: number}} span
   */
  constructor(name, first, span) {
    this.name = name;
    this.metric = typeof first === "boolean" ? describeStates(name) : describe(name);
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
