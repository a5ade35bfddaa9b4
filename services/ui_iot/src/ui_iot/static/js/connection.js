/** Shows the state of the live connection in the top bar. */

/** @typedef {import("./live.js").LinkState} LinkState */

const WORDS = { connecting: "Connecting", open: "Live updates", waiting: "Reconnecting", closed: "Not connected" };

/** @param {import("./live.js").LiveConnection} live */
export function showConnection(live) {
  const place = document.getElementById("link-state");
  const word = place?.querySelector('[role="status"]');
  const countdown = place?.querySelector("[data-countdown]");
  if (!place || !word || !countdown) return;
  let retryAt = 0;

  const tick = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    countdown.textContent = seconds > 0 ? `in ${seconds} s` : "";
  };
  live.addEventListener("state", (event) => {
    const { state, retryAt: at } = /** @type {CustomEvent<{state: LinkState, retryAt: number}>} */ (event).detail;
    // While it keeps failing, the brief tries in between would only flicker.
    if (state === "connecting" && place.dataset.state === "waiting") return;
    place.dataset.state = state;
    word.textContent = WORDS[state];
    retryAt = at;
    tick();
  });
  live.addEventListener("dropped", (event) => {
    const { count } = /** @type {CustomEvent<{count: number}>} */ (event).detail;
    place.title = `${count} updates left out: this connection is too slow for all of them`;
  });
  setInterval(tick, 1000);
}
