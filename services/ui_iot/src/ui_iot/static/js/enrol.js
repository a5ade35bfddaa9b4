/** The enrolment page: waits for the device to connect, and says when it has. */

import { showConnection } from "./connection.js";
import "./copy.js";
import { LiveConnection } from "./live.js";
import { keepTimesFresh } from "./time.js";

const deviceId = document.querySelector("main")?.dataset.deviceId ?? "";
const arrival = document.querySelector(".arrival");

/** @param {Event} event */
function arrived(event) {
  const message = /** @type {CustomEvent} */ (event).detail;
  if (message.device_id !== deviceId || !(arrival instanceof HTMLElement)) return;
  if (message.type === "device") arrival.dataset.status = message.status;
  // A reading is proof enough, should the message about the device come later.
  if (message.type === "telemetry") arrival.dataset.status = "live";
}

keepTimesFresh();
if (arrival) {
  const live = new LiveConnection([deviceId]);
  showConnection(live);
  live.addEventListener("device", arrived);
  live.addEventListener("telemetry", arrived);
  live.connect();
}
