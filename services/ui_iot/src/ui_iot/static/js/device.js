/** The device page: live charts, and a fresh look at the rest whenever the device's state changes. */

import { ChartWall } from "./charts.js";
import { showConnection } from "./connection.js";
import "./csrf.js";
import "./dialog.js";
import { recentReadings } from "./history.js";
import { LiveConnection, STATUS_WORDS } from "./live.js";
import { keepTimesFresh } from "./time.js";

const deviceId = document.querySelector("main")?.dataset.deviceId ?? "";
const place = /** @type {HTMLElement} */ (document.getElementById("charts"));
const spanSeconds = Number(place.dataset.sinceSeconds);
const wall = new ChartWall(place, spanSeconds);
const live = new LiveConnection([deviceId]);

/** A reading is shown before it is stored: for a moment the server's own page may know less than the live view said. */
const MOST_LOOKS = 5;
const LOOK_AGAIN_MS = 1_000;
/** @type {import("./live.js").Status | null} */
let told = null;
let looksLeft = 0;

function shownStatus() {
  return /** @type {HTMLElement | null} */ (document.querySelector("#device-head [data-status]"))?.dataset.status;
}

/** @param {import("./live.js").Status} status */
function show(status) {
  told = status;
  looksLeft = MOST_LOOKS;
  lookAgain();
}

function lookAgain() {
  if (looksLeft === 0) return;
  looksLeft -= 1;
  document.body.dispatchEvent(new CustomEvent("pulse:device-changed"));
}

async function remember() {
  wall.load(await recentReadings(deviceId, spanSeconds));
  showEmptiness();
}

function showEmptiness() {
  const empty = document.getElementById("no-readings");
  if (empty) empty.hidden = !wall.empty;
}

/** @param {import("./live.js").Status} status */
function announce(status) {
  const place = document.getElementById("announced");
  const text = `${place?.dataset.name} is ${STATUS_WORDS[status].toLowerCase()}`;
  if (place && place.textContent !== text) place.textContent = text;
}

live.addEventListener("telemetry", (event) => {
  const { device_id: from, ts, metrics } = /** @type {CustomEvent} */ (event).detail;
  if (from !== deviceId) return;
  wall.push(ts, metrics);
  // What made it live may have been told between the page's making and this connection.
  if (told === null && shownStatus() !== "live") show("live");
  showEmptiness();
});
live.addEventListener("device", (event) => {
  const message = /** @type {CustomEvent<import("./live.js").DeviceMessage>} */ (event).detail;
  if (message.device_id !== deviceId) return;
  announce(message.status);
  show(message.status);
});
document.body.addEventListener("htmx:afterSettle", () => {
  if (told && looksLeft && shownStatus() !== told) setTimeout(lookAgain, LOOK_AGAIN_MS);
});
// Once more after each (re)connection: it fills the hole that the loss made.
live.addEventListener("open", () => {
  told = null;
  void remember();
});

keepTimesFresh();
showConnection(live);
void remember();
live.connect();
