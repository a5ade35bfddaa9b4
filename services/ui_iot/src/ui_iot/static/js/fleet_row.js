/** One row of the device list. */

import { describe, printed } from "./format.js";
import { recentReadings } from "./history.js";
import { STATUS_WORDS } from "./live.js";
import { Series } from "./series.js";
import { drawSparkline } from "./sparkline.js";
import { setTime } from "./time.js";

/** @typedef {import("./live.js").Reading} Reading */

const SPAN_SECONDS = 300;
const MOST_READINGS = 3;
// What says most about a device goes first; the first one that is a number gets the small chart.
const TELLING = ["cpu_percent", "memory_percent", "temperature_celsius"];

/** @param {Record<string, Reading>} metrics */
function keyNames(metrics) {
  const place = (/** @type {string} */ name) => (TELLING.indexOf(name) + 1 || TELLING.length + 1);
  return Object.keys(metrics)
    .sort((a, b) => place(a) - place(b) || a.localeCompare(b))
    .slice(0, MOST_READINGS);
}

export class FleetRow {
  #series = new Series();
  /** @type {string | null} */
  #charted = null;
  #remembered = false;
  #lastSeen = 0;
  /** @type {Record<string, Reading>} */
  #latest = {};

  /**
   * @param {string} id
   * @param {HTMLElement} row
   */
  constructor(id, row) {
    this.id = id;
    this.row = row;
    this.#latest = this.#written();
    this.#show();
  }

  /** @param {HTMLElement} row the same device's row in a fresh list */
  moveTo(row) {
    if (row === this.row) return;
    this.row = row;
    this.#latest = { ...this.#written(), ...this.#latest };
    this.#show();
  }

  /** Asks for the last minutes, once, when the row comes into sight. */
  async remember() {
    if (this.#remembered || this.row.dataset.status === "never") return this.draw();
    this.#remembered = true;
    const points = await recentReadings(this.id, SPAN_SECONDS);
    const since = this.#series;
    this.#series = new Series();
    for (const { ts, metrics } of points) this.#take(ts, metrics);
    since.times.forEach((time, index) => this.#series.push(time, since.values[index] ?? 0));
    this.#show();
  }

  /**
   * @param {number} ts
   * @param {Record<string, Reading>} metrics
   */
  push(ts, metrics) {
    this.#take(ts, metrics);
    this.#latest = { ...this.#latest, ...metrics };
    this.#lastSeen = Date.now();
    this.#show();
  }

  /** @param {import("./live.js").DeviceMessage} message */
  setStatus({ status, last_seen_at: lastSeenAt }) {
    this.row.dataset.status = status;
    const badge = /** @type {HTMLElement | null} */ (this.row.querySelector(".badge"));
    if (badge) {
      badge.dataset.status = status;
      badge.textContent = STATUS_WORDS[status];
    }
    if (lastSeenAt) this.#lastSeen = Date.parse(lastSeenAt);
    this.#show();
  }

  draw() {
    const canvas = this.row.querySelector("canvas");
    if (!canvas) return;
    const to = Date.now() / 1000;
    this.#series.forgetBefore(to - SPAN_SECONDS);
    const { family, title } = describe(this.#charted ?? "");
    canvas.title = title;
    drawSparkline(canvas, this.#series, { from: to - SPAN_SECONDS, to, name: `--series-${family}` });
  }

  /** @returns {Record<string, Reading>} the readings that the server put into the row */
  #written() {
    const list = /** @type {HTMLElement | null} */ (this.row.querySelector(".readings"));
    return JSON.parse(list?.dataset.readings ?? "{}");
  }

  /**
   * @param {number} ts
   * @param {Record<string, Reading>} metrics
   */
  #take(ts, metrics) {
    this.#charted ??= keyNames(metrics).find((name) => typeof metrics[name] === "number") ?? null;
    const value = this.#charted === null ? undefined : metrics[this.#charted];
    if (typeof value === "number") this.#series.push(ts / 1000, value);
  }

  #show() {
    const items = keyNames(this.#latest).map((name) => {
      const item = document.createElement("li");
      const label = document.createElement("span");
      const value = document.createElement("b");
      label.textContent = describe(name).title;
      value.textContent = printed(name, this.#latest[name] ?? "").join(" ").trim();
      item.append(label, value);
      return item;
    });
    this.row.querySelector(".readings")?.replaceChildren(...items);
    if (this.#lastSeen) setTime(this.row.querySelector(".seen"), this.#lastSeen);
    this.draw();
  }
}
