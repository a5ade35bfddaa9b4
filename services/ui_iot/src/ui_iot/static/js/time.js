/** Keeps times on the page readable and fresh: "3 min ago", countdowns, a stopwatch. */

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
/** @type {WeakMap<Element, number>} */
const started = new WeakMap();

/**
 * @param {number} at milliseconds since 1970
 * @param {number} now
 */
export function relativeTime(at, now) {
  const seconds = Math.round((at - now) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.round(seconds / size), unit);
}

/**
 * @param {number} at
 * @param {number} now
 */
function countdown(at, now) {
  const seconds = Math.round((at - now) / 1000);
  if (seconds <= 0) return "already: make a new one";
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `in ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `in ${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

/** @param {HTMLTimeElement} time */
function showTime(time) {
  const at = Date.parse(time.dateTime);
  if (Number.isNaN(at)) return;
  const now = Date.now();
  const how = time.dataset.time;
  const text = how === "date" ? day.format(at) : how === "countdown" ? countdown(at, now) : relativeTime(at, now);
  // Written only when different, so that nothing that watches the page is woken for nothing.
  if (time.textContent !== text) time.textContent = text;
  time.title ||= exact.format(at);
}

function showAll() {
  for (const time of document.querySelectorAll("time[data-time]")) showTime(/** @type {HTMLTimeElement} */ (time));
}

function showStopwatches() {
  for (const watch of document.querySelectorAll("[data-stopwatch]")) {
    const from = started.get(watch) ?? performance.now();
    started.set(watch, from);
    watch.textContent = `${((performance.now() - from) / 1000).toFixed(1)} s`;
  }
}

/**
 * Puts a new moment into a table cell that shows when something was last seen.
 * @param {Element | null} cell
 * @param {number} at
 */
export function setTime(cell, at) {
  if (!cell) return;
  let time = cell.querySelector("time");
  if (!time) {
    time = document.createElement("time");
    time.dataset.time = "relative";
    cell.replaceChildren(time);
  }
  time.dateTime = new Date(at).toISOString();
  time.removeAttribute("title");
  showTime(time);
}

export function keepTimesFresh() {
  showAll();
  setInterval(showAll, 1000);
  setInterval(showStopwatches, 100);
  document.addEventListener("htmx:afterSettle", showAll);
}
