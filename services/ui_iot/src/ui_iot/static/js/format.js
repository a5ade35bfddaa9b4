/** How a metric is named, measured and written, told by the end of its name: cpu_percent, net_in_kbps, room_celsius. */

/**
 * @typedef {"ratio" | "rate" | "heat" | "size" | "plain"} Family
 * @typedef {{title: string, family: Family, format: (value: number) => [string, string], states?: boolean}} Metric
 */

const ACRONYMS = new Map(
  ["CPU", "GPU", "RAM", "IO", "RSSI", "SSD", "UPS", "PV", "CO2", "VOC", "pH", "TX", "RX", "DC", "AC"].map((word) => [
    word.toLowerCase(),
    word,
  ]),
);

/**
 * @param {number} value
 * @returns {string} about three significant digits, without jumping about in width
 */
function short(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "-";
  if (size >= 1e6) return Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 }).format(value);
  if (size >= 100) return Math.round(value).toLocaleString("en");
  if (size >= 10 || size === 0) return value.toFixed(1);
  return value.toFixed(2);
}

/**
 * @param {string} unit
 * @returns {(value: number) => [string, string]}
 */
const plain = (unit) => (value) => [short(value), unit];

/**
 * @param {number} step
 * @param {string[]} units
 * @returns {(value: number) => [string, string]}
 */
const scaled = (step, units) => (value) => {
  let rank = 0;
  let rest = value;
  while (Math.abs(rest) >= step && rank < units.length - 1) {
    rest /= step;
    rank += 1;
  }
  return [short(rest), units[rank] ?? ""];
};

/**
 * @param {number} seconds
 * @returns {[string, string]}
 */
function duration(seconds) {
  const size = Math.abs(seconds);
  if (size >= 172_800) return [(seconds / 86_400).toFixed(1), "d"];
  if (size >= 7_200) return [(seconds / 3_600).toFixed(1), "h"];
  if (size >= 120) return [(seconds / 60).toFixed(1), "min"];
  return [short(seconds), "s"];
}

/** @type {[string, Family, (value: number) => [string, string]][]} */
const SUFFIXES = [
  ["_percent", "ratio", (value) => [value.toFixed(1), "%"]],
  ["_ratio", "ratio", (value) => [(value * 100).toFixed(1), "%"]],
  ["_kbps", "rate", scaled(1000, ["kbit/s", "Mbit/s", "Gbit/s"])],
  ["_bps", "rate", scaled(1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"])],
  ["_bytes_per_second", "rate", scaled(1024, ["B/s", "KiB/s", "MiB/s", "GiB/s"])],
  ["_per_second", "rate", plain("/s")],
  ["_bytes", "size", scaled(1024, ["B", "KiB", "MiB", "GiB", "TiB"])],
  ["_mb", "size", scaled(1000, ["MB", "GB", "TB"])],
  ["_celsius", "heat", (value) => [value.toFixed(1), "°C"]],
  ["_fahrenheit", "heat", (value) => [value.toFixed(1), "°F"]],
  ["_watts", "heat", scaled(1000, ["W", "kW", "MW"])],
  ["_volts", "heat", plain("V")],
  ["_amperes", "heat", plain("A")],
  ["_hpa", "plain", plain("hPa")],
  ["_lux", "plain", plain("lx")],
  ["_rpm", "plain", plain("rpm")],
  ["_hertz", "plain", scaled(1000, ["Hz", "kHz", "MHz", "GHz"])],
  ["_mhz", "plain", scaled(1000, ["MHz", "GHz"])],
  ["_ms", "plain", plain("ms")],
  ["_seconds", "plain", duration],
  ["_dbm", "plain", plain("dBm")],
  ["_ppm", "plain", plain("ppm")],
];

/** @param {string} words */
function title(words) {
  const named = words
    .split(/[_\s.-]+/)
    .filter(Boolean)
    .map((word) => ACRONYMS.get(word.toLowerCase()) ?? word);
  const text = named.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {string} name
 * @returns {Metric}
 */
export function describe(name) {
  const found = SUFFIXES.find(([suffix]) => name.endsWith(suffix) && name.length > suffix.length);
  if (!found) return { title: title(name), family: "plain", format: plain("") };
  const [suffix, family, format] = found;
  const words = title(name.slice(0, -suffix.length));
  // "CPU" in degrees stands beside "CPU" in percent.
  const heat = /_(celsius|fahrenheit)$/.test(suffix) && !/temp/i.test(words);
  return { title: heat ? `${words} temperature` : words, family, format };
}

/**
 * @param {string} name
 * @returns {Metric} for readings that are true or false
 */
export function describeStates(name) {
  return { title: title(name), family: "plain", states: true, format: (value) => [value >= 0.5 ? "On" : "Off", ""] };
}

/**
 * @param {Metric} metric
 * @param {number} value
 * @returns {string} as short as a mark on an axis has to be: 40, 1.5 M, 3 d
 */
export function axisMark(metric, value) {
  const [number, unit] = metric.format(value);
  const scale = /^[kKMGT](?=[A-Za-z])|^(min|h|d)$/.exec(unit)?.[0] ?? "";
  const shortest = number.replace(/(\.\d*?)0+(?=$|\D)/, "$1").replace(/\.(?=$|\D)/, "");
  return value === 0 ? shortest : `${shortest} ${scale}`.trim();
}

/**
 * @param {string} name
 * @param {import("./live.js").Reading} reading
 * @returns {[string, string]} what to print, and its unit
 */
export function printed(name, reading) {
  if (typeof reading === "number") return describe(name).format(reading);
  if (typeof reading === "boolean") return [reading ? "On" : "Off", ""];
  return [reading, ""];
}
