/** Gives every unsafe request of htmx the page's CSRF token, and signs out cleanly when the session has ended. */

const SAFE = new Set(["get", "head", "options"]);

/** @returns {string} the token that the server put into the page */
export function csrfToken() {
  const meta = document.querySelector('meta[name="csrf-token"]');
  return meta?.getAttribute("content") ?? "";
}

document.addEventListener("htmx:configRequest", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  if (SAFE.has(detail.verb)) return;
  detail.headers["X-CSRF-Token"] = csrfToken();
});

document.addEventListener("htmx:responseError", (event) => {
  // A fragment cannot log anyone in; the whole page can.
  if (/** @type {CustomEvent} */ (event).detail.xhr.status === 401) location.reload();
});
