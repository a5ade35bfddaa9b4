/** The WebSocket to the server: subscribes, hands out messages as DOM events, and comes back after a loss. */

/**
 * @typedef {number | boolean | string} Reading
 * @typedef {{type: "telemetry", device_id: string, ts: number, metrics: Record<string, Reading>}} TelemetryMessage
 * @typedef {"live" | "offline" | "never" | "cut_off"} Status
 * @typedef {{type: "device", device_id: string, status: Status, last_seen_at?: string}} DeviceMessage
 * @typedef {"connecting" | "open" | "waiting" | "closed"} LinkState
 */

/** @type {Record<Status, string>} */
export const STATUS_WORDS = { live: "Live", offline: "Offline", never: "Never connected", cut_off: "Cut off" };

const PATH = "/api/v2/ws";
const SIGNED_OUT = 4401;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const STEADY_AFTER_MS = 5_000;

/**
 * Full jitter: any time up to the exponential bound, so that a restarted server is not hit by all browsers at once.
 * @param {number} attempt counted from 0
 * @param {() => number} random
 */
export function backoffMs(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
}

/** Events: "state" {state, retryAt}, "open", "telemetry", "device", "dropped" (each with the message as detail). */
export class LiveConnection extends EventTarget {
  #attempt = 0;
  #timer = 0;
  #openedAt = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {string[] | "all"} */
  #devices;

  /** @param {string[] | "all"} devices */
  constructor(devices) {
    super();
    this.#devices = devices;
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
    // The server closes the socket of a session that logs out: reloading then would cut the log-out short.
    document.addEventListener("submit", (event) => {
      if (/** @type {HTMLFormElement} */ (event.target).matches('[action="/auth/logout"]')) this.close();
    });
    // A page kept for the back button must not hold its socket.
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.connect());
  }

  connect() {
    if (this.#socket) return;
    this.#tell("connecting");
    const socket = new WebSocket(new URL(PATH, location.href.replace(/^http/, "ws")));
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", (event) => this.#received(event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event.code));
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#tell("closed");
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#openedAt = performance.now();
    socket.send(JSON.stringify({ type: "subscribe", devices: this.#devices }));
    this.#tell("open");
    this.dispatchEvent(new CustomEvent("open"));
  }

  /** @param {unknown} data */
  #received(data) {
    if (typeof data !== "string") return;
    const message = JSON.parse(data);
    if (!["telemetry", "device", "dropped"].includes(message?.type)) return;
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (code === SIGNED_OUT && logInAgain()) return;
    // A server that accepts and then closes at once is not well: only a connection that lasted resets the delay.
    if (this.#openedAt && performance.now() - this.#openedAt > STEADY_AFTER_MS) this.#attempt = 0;
    this.#openedAt = 0;
    const delay = backoffMs(this.#attempt);
    this.#attempt += 1;
    this.#tell("waiting", Date.now() + delay);
    this.#timer = setTimeout(() => this.connect(), delay);
  }

  #retryNow() {
    if (this.#socket || !this.#timer) return;
    clearTimeout(this.#timer);
    this.connect();
  }

  /**
   * @param {LinkState} state
   * @param {number} retryAt
   */
  #tell(state, retryAt = 0) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, retryAt } }));
  }
}

/** Reloads the page, which leads to the log-in; not twice in a row, or two disagreeing parts would reload for ever. */
function logInAgain() {
  const key = "pulse-signed-out-at";
  const last = Number(sessionStorage.getItem(key) ?? 0);
  if (Date.now() - last < 30_000) return false;
  sessionStorage.setItem(key, String(Date.now()));
  location.reload();
  return true;
}
