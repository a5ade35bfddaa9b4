/** Copies the text of the element that a button names in data-copy, and says so. */

const SAID_FOR_MS = 2_000;

/** @param {HTMLElement} button */
async function copy(button) {
  const source = document.getElementById(button.dataset.copy ?? "");
  const label = button.querySelector('[role="status"]');
  if (!source || !label) return;
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    label.textContent = "Copied";
  } catch {
    // No clipboard without a secure page or the person's leave: then mark the text, one key press copies it.
    getSelection()?.selectAllChildren(source);
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (label.textContent = "Copy"), SAID_FOR_MS);
}

document.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest("[data-copy]");
  if (button instanceof HTMLElement) void copy(button);
});
