/** Forms of the pages about fleets: what is filled in goes to the JSON API, what it answers is shown or followed. */

import { csrfToken } from "./csrf.js";
import { keepTimesFresh } from "./time.js";

/** Asks the API as this page's person. Throws an Error with the problem's own words.
 * @param {string} path @param {string} method @param {BodyInit | null} body @param {Record<string, string>} more
 * @returns {Promise<any>} */
export async function ask(path, method, body, more = {}) {
  const headers = { "X-CSRF-Token": csrfToken(), ...more };
  const answer = await fetch(path, { method, headers, body, credentials: "same-origin" });
  const text = await answer.text();
  const found = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(found?.detail ?? `HTTP status ${answer.status}`);
  return found;
}

/** @param {HTMLElement} form @param {string} words */
export function refuse(form, words) {
  const place = form.querySelector("[data-refusal]");
  if (!(place instanceof HTMLElement)) return;
  place.textContent = words;
  place.hidden = !words;
}

/** @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} field @returns {unknown} */
function valueOf(field) {
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.checked;
  switch (field.dataset.kind) {
    case "number": return field.value === "" ? null : Number(field.value);
    case "nullable": return field.value || null;
    case "boolean": return field.value === "true";
    case "json": return field.value.trim() ? JSON.parse(field.value) : null;
    case "list": return [field.value];
    case "hardware": return field.value.split(/\s+/).filter(Boolean).map((one) => ({ hardware_id: one }));
    default: return field.value;
  }
}

/** @param {HTMLFormElement} form @returns {string | null} */
function bodyOf(form) {
  if (form.dataset.method === "DELETE") return null;
  /** @type {Record<string, unknown>} */
  const values = {};
  for (const field of form.elements) {
    const isField = field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement;
    if (isField && field.name) values[field.name] = valueOf(field);
  }
  return Object.keys(values).length ? JSON.stringify(values) : null;
}

/** Shows what is shown only once, as text.
 * @param {HTMLFormElement} form @param {any} found @returns {boolean} */
function show(form, found) {
  const shown = form.dataset.show && found?.[form.dataset.show];
  const place = form.querySelector("[data-output]");
  if (!shown || !shown.length || !(place instanceof HTMLElement)) return false;
  const text = document.createElement("pre");
  text.textContent = typeof shown === "string" ? shown : shown.map((/** @type {any} */ one) => `${one.hardware_id} ${one.secret}`).join("\n");
  place.replaceChildren("Shown this once: ", text);
  place.hidden = false;
  return true;
}

/** @param {HTMLFormElement} form */
async function send(form) {
  refuse(form, "");
  try {
    const body = bodyOf(form);
    /** @type {Record<string, string>} */
    const headers = body === null ? {} : { "Content-Type": "application/json" };
    if (form.dataset.etag) headers["If-Match"] = form.dataset.etag;
    const found = await ask(form.dataset.api ?? "", form.dataset.method ?? "POST", body, headers);
    if (show(form, found)) return;
    if (form.dataset.next) location.href = form.dataset.next.replace("{id}", found?.id ?? "");
    else location.reload();
  } catch (error) {
    refuse(form, error instanceof Error ? error.message : String(error));
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.dataset.api) return;
  event.preventDefault();
  void send(form);
});

keepTimesFresh();
