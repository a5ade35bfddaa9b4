/** Sets up uPlot the way Pulse draws a metric: one line, few axis marks, a moving window, a tip at the cursor. */

import { axisMark } from "./format.js";
import { colour, tint } from "./theme.js";

/**
 * @typedef {{
 *   place: HTMLElement,
 *   series: import("./series.js").Series,
 *   metric: import("./format.js").Metric,
 *   window: () => {from: number, to: number},
 * }} PlotParts
 */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const FONT = "11px -apple-system, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', Arial, sans-serif";

/**
 * @param {PlotParts} parts
 * @returns {any} a uPlot (loaded as a plain script, which has no types here)
 */
export function makePlot(parts) {
  const { place, series, metric } = parts;
  const options = {
    width: Math.max(place.clientWidth, 100),
    height: Math.max(place.clientHeight, 60),
    padding: [8, 17, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: "pulse" }, points: { size: 7, width: 2 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: () => [parts.window().from, parts.window().to] },
      y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => bounds(metric, low, high) },
    },
    axes: [timeAxis(place), valueAxis(place, metric)],
    series: [{}, line(place, metric)],
    plugins: [tip(metric), lastPoint(place)],
  };
  const Plot = /** @type {any} */ (globalThis).uPlot;
  return new Plot(options, [series.times, series.values], place);
}

/**
 * Zero stays in sight unless that would flatten the curve; a share of a whole is never shown beyond the whole.
 * @param {import("./format.js").Metric} metric
 * @param {number | null} low
 * @param {number | null} high
 * @returns {[number, number]}
 */
function bounds(metric, low, high) {
  if (low === null || high === null) return [0, 1];
  if (metric.states) return [-0.15, 1.25];
  const spread = Math.max(high - low, Math.abs(high) * 0.02, 1e-6);
  const fromZero = low >= 0 && (metric.family === "ratio" || metric.family === "rate" || low < 2 * spread);
  const bottom = fromZero ? 0 : low - spread * 0.3;
  const top = high + (fromZero ? Math.max(high, 1e-6) * 0.15 : spread * 0.3);
  const whole = metric.family === "ratio" && metric.format(1)[1] === "%" && high <= 100 && high > 45;
  return [bottom, whole ? 100 : top];
}

/**
 * @param {HTMLElement} place
 * @param {import("./format.js").Metric} metric
 */
function line(place, metric) {
  const Plot = /** @type {any} */ (globalThis).uPlot;
  return {
    stroke: () => colour(place, "--series"),
    fill: () => tint(place, "--series", "17"),
    width: 1.5,
    spanGaps: false,
    points: { show: false },
    ...(metric.states ? { paths: Plot.paths.stepped({ align: 1 }) } : {}),
  };
}

/** @param {HTMLElement} place */
function timeAxis(place) {
  return {
    font: FONT,
    size: 22,
    gap: 4,
    space: 70,
    incrs: [60, 120, 300, 600],
    stroke: () => colour(place, "--chart-text"),
    grid: { show: false },
    ticks: { show: false },
    values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => clock.format(at * 1000)),
  };
}

/**
 * @param {HTMLElement} place
 * @param {import("./format.js").Metric} metric
 */
function valueAxis(place, metric) {
  return {
    font: FONT,
    size: 46,
    gap: 6,
    space: 26,
    stroke: () => colour(place, "--chart-text"),
    grid: { stroke: () => colour(place, "--chart-grid"), width: 1 },
    ticks: { show: false },
    values: (/** @type {any} */ _, /** @type {number[]} */ splits) =>
      splits.map((value) => axisMark(metric, value)),
    ...(metric.states ? { splits: [0, 1] } : {}),
  };
}

/** @param {import("./format.js").Metric} metric */
function tip(metric) {
  const element = document.createElement("div");
  element.className = "tip";
  element.hidden = true;
  /** @param {any} plot */
  const show = (plot) => {
    const { idx, left } = plot.cursor;
    const value = idx === null || idx === undefined ? null : plot.data[1][idx];
    element.hidden = value === null || value === undefined || left < 0;
    if (element.hidden) return;
    element.textContent = `${metric.format(value).join(" ")} at ${exactClock.format(plot.data[0][idx] * 1000)}`;
    const furthest = plot.over.clientWidth - element.offsetWidth;
    const x = Math.min(Math.max(left - element.offsetWidth / 2, 0), furthest);
    element.style.transform = `translate(${x}px, -2px)`;
  };
  return { hooks: { init: (/** @type {any} */ plot) => plot.over.append(element), setCursor: show } };
}

/** @param {HTMLElement} place */
function lastPoint(place) {
  /** @param {any} plot */
  const draw = (plot) => {
    const value = plot.data[1].at(-1);
    if (value === null || value === undefined) return;
    const { ctx } = plot;
    const x = plot.valToPos(plot.data[0].at(-1), "x", true);
    const y = plot.valToPos(value, "y", true);
    ctx.save();
    ctx.fillStyle = colour(place, "--series");
    ctx.beginPath();
    ctx.arc(x, y, 3 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.restore();
  };
  return { hooks: { draw } };
}
