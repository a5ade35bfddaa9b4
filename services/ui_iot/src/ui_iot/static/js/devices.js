/** The device list: states, readings and small charts kept fresh by the WebSocket, and a filter. */

import { showConnection } from "./connection.js";
import "./csrf.js";
import { FleetRow } from "./fleet_row.js";
import { LiveConnection } from "./live.js";
import { onSchemeChange } from "./theme.js";
import { keepTimesFresh } from "./time.js";

/** @type {Map<string, FleetRow>} */
const rows = new Map();
const live = new LiveConnection("all");
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting) void rowOf(target)?.remember();
});

/** @param {Element} element */
function rowOf(element) {
  return rows.get(/** @type {HTMLElement} */ (element).dataset.deviceId ?? "");
}

/** Takes over the rows on the page; also after htmx brought new ones, whose devices may be known already. */
function adopt() {
  watcher.disconnect();
  for (const element of document.querySelectorAll("tr[data-device-id]")) {
    const row = /** @type {HTMLElement} */ (element);
    const id = row.dataset.deviceId ?? "";
    const known = rows.get(id);
    if (known) known.moveTo(row);
    else rows.set(id, new FleetRow(id, row));
    watcher.observe(row);
  }
  filter();
}

function filter() {
  const wanted = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"))?.value.trim().toLowerCase();
  let shown = 0;
  for (const row of document.querySelectorAll("tr[data-device-id]")) {
    const text = row.querySelector("th")?.textContent?.toLowerCase() ?? "";
    const matches = !wanted || text.includes(wanted);
    /** @type {HTMLElement} */ (row).hidden = !matches;
    shown += Number(matches);
  }
  const nothing = document.getElementById("no-match");
  if (nothing) nothing.hidden = shown > 0;
}

function count() {
  for (const item of document.querySelectorAll("[data-tally]")) {
    const tally = /** @type {HTMLElement} */ (item);
    const many = document.querySelectorAll(`tr[data-device-id][data-status="${tally.dataset.tally}"]`).length;
    const number = tally.querySelector("b");
    if (number) number.textContent = String(many);
    tally.hidden = many === 0;
  }
}

live.addEventListener("telemetry", (event) => {
  const { device_id: id, ts, metrics } = /** @type {CustomEvent} */ (event).detail;
  rows.get(id)?.push(ts, metrics);
});
live.addEventListener("device", (event) => {
  const message = /** @type {CustomEvent<import("./live.js").DeviceMessage>} */ (event).detail;
  const row = rows.get(message.device_id);
  if (row) row.setStatus(message);
  // Somebody added a device: fetch the list again.
  else document.body.dispatchEvent(new CustomEvent("pulse:fleet-changed"));
  count();
});
document.addEventListener("input", (event) => /** @type {Element} */ (event.target).id === "filter" && filter());
document.addEventListener("htmx:afterSettle", adopt);
onSchemeChange(() => rows.forEach((row) => row.draw()));
setInterval(() => rows.forEach((row) => row.draw()), 1000);

keepTimesFresh();
adopt();
showConnection(live);
live.connect();
