/** Opens and closes the dialogs that buttons name in data-open, and shows in them why a request was refused. */

/** @param {string | undefined} id */
const dialog = (id) => /** @type {HTMLDialogElement | null} */ (document.getElementById(id ?? ""));

/** @param {HTMLDialogElement | null} asked */
function open(asked) {
  if (!asked) return;
  asked.querySelector("form")?.reset();
  const problem = problemPlace(asked);
  if (problem) problem.hidden = true;
  asked.showModal();
}

/** @param {HTMLDialogElement} asked */
function problemPlace(asked) {
  return /** @type {HTMLElement | null} */ (asked.querySelector("[data-dialog-problem]"));
}

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const opener = target.closest("[data-open]");
  if (opener instanceof HTMLElement) open(dialog(opener.dataset.open));
  // A press on the dialog itself, not on what it holds, is one beside it.
  if (target.closest("[data-close]") || target instanceof HTMLDialogElement) target.closest("dialog")?.close();
});

/**
 * @param {Event} event
 * @returns {HTMLDialogElement | null} the dialog whose form made the request
 */
function asker(event) {
  const from = /** @type {CustomEvent} */ (event).detail.requestConfig?.elt;
  return from instanceof Element ? from.closest("dialog") : null;
}

document.addEventListener("htmx:afterRequest", (event) => {
  const asked = asker(event);
  if (!asked) return;
  const { successful, xhr } = /** @type {CustomEvent} */ (event).detail;
  if (!successful) return showProblem(asked, xhr);
  asked.close();
  // The button that opened it is gone with the state it belonged to.
  document.getElementById("main")?.focus({ preventScroll: true });
});

/**
 * @param {HTMLDialogElement} asked
 * @param {XMLHttpRequest} xhr
 */
function showProblem(asked, xhr) {
  const place = problemPlace(asked);
  if (!place) return;
  place.textContent = problemText(xhr);
  place.hidden = false;
}

/** @param {XMLHttpRequest} xhr */
function problemText(xhr) {
  try {
    const problem = JSON.parse(xhr.responseText);
    return problem.detail ?? problem.title;
  } catch {
    return xhr.status ? `The server answered ${xhr.status}. Nothing was changed.` : "The server could not be reached.";
  }
}
