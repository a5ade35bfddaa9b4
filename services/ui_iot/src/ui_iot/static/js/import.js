/** Sends a file slice by slice, going on where the server says it is, and keeps the page of a running import fresh. */

import { ask, refuse } from "./fleet.js";

const SLICE = 512 * 1024;
const MOST_TRIES = 5;
const LOOK_MS = 1000;

/** @param {number} ms */
const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** @param {File} file @param {string} path @param {HTMLProgressElement} bar */
async function sendAll(file, path, bar) {
  let at = 0;
  let tries = 0;
  while (at < file.size) {
    try {
      const found = await ask(`${path}/content?at_byte=${at}`, "PUT", file.slice(at, at + SLICE));
      at = found.received_bytes;
      tries = 0;
    } catch (error) {
      tries += 1;
      if (tries >= MOST_TRIES) throw error;
      await wait(LOOK_MS * tries);
      at = (await ask(path, "GET", null)).received_bytes;
    }
    bar.value = at / file.size;
  }
}

/** @param {HTMLFormElement} form */
async function bring(form) {
  const file = /** @type {HTMLInputElement} */ (form.elements.namedItem("file")).files?.[0];
  const bar = form.querySelector("progress");
  if (!file || !bar) return;
  refuse(form, "");
  bar.hidden = false;
  try {
    const wanted = {
      format: /\.(jsonl|ndjson)$/i.test(file.name) ? "jsonl" : "csv",
      enrolment_profile_id: /** @type {HTMLSelectElement} */ (form.elements.namedItem("fleet")).value || null,
      with_tokens: /** @type {HTMLInputElement} */ (form.elements.namedItem("with_tokens")).checked,
    };
    const made = await ask("/api/v2/imports", "POST", JSON.stringify(wanted), { "Content-Type": "application/json" });
    const path = `/api/v2/imports/${made.id}`;
    await sendAll(file, path, bar);
    await ask(`${path}/start`, "POST", null);
    location.href = `/imports/${made.id}`;
  } catch (error) {
    refuse(form, error instanceof Error ? error.message : String(error));
  }
}

const form = document.getElementById("import-form");
if (form instanceof HTMLFormElement) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void bring(form);
  });
}
if (document.querySelector("main")?.dataset.import) setTimeout(() => { location.reload(); }, LOOK_MS);
