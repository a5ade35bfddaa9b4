/** Draws one series as a small line in the device list. */

import { colour, tint } from "./theme.js";

const EDGE = 3;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./series.js").Series} series
 * @param {{from: number, to: number, name: string}} shown the span in seconds, and the custom property of the colour
 */
export function drawSparkline(canvas, series, shown) {
  const context = canvas.getContext("2d");
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!context || !width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  context.scale(scale, scale);
  const spread = series.spread();
  if (!spread) return drawNothing(context, canvas, width, height);

  // A flat line stays in the middle instead of showing its noise at full height.
  const room = Math.max(spread.high - spread.low, Math.abs(spread.high) * 0.1, 1e-9);
  const middle = (spread.high + spread.low) / 2;
  const x = (/** @type {number} */ time) => ((time - shown.from) / (shown.to - shown.from)) * (width - EDGE);
  const y = (/** @type {number} */ value) => height / 2 - ((value - middle) / room) * (height - 2 * EDGE);

  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.strokeStyle = colour(canvas, shown.name);
  context.fillStyle = tint(canvas, shown.name, "1a");
  for (const run of runs(series)) {
    context.beginPath();
    for (const [time, value] of run) context.lineTo(x(time), y(value));
    context.stroke();
    context.lineTo(x(run.at(-1)?.[0] ?? 0), height);
    context.lineTo(x(run[0]?.[0] ?? 0), height);
    context.fill();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Element} canvas
 * @param {number} width
 * @param {number} height
 */
function drawNothing(context, canvas, width, height) {
  context.strokeStyle = colour(canvas, "--line-strong");
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(0, height / 2);
  context.lineTo(width, height / 2);
  context.stroke();
}

/**
 * @param {import("./series.js").Series} series
 * @returns {[number, number][][]} the points, split at the gaps
 */
function runs(series) {
  /** @type {[number, number][][]} */
  const all = [];
  /** @type {[number, number][]} */
  let run = [];
  series.values.forEach((value, index) => {
    if (value !== null) return void run.push([series.times[index] ?? 0, value]);
    if (run.length) all.push(run);
    run = [];
  });
  if (run.length) all.push(run);
  return all;
}
