/** Asks the server for a device's recent readings. */

/** @typedef {{ts: number, metrics: Record<string, import("./live.js").Reading>}} Point */

/**
 * @param {string} deviceId
 * @param {number} sinceSeconds
 * @returns {Promise<Point[]>} oldest first; empty when the server could not answer: live points will come
 */
export async function recentReadings(deviceId, sinceSeconds) {
  const path = `/api/v2/devices/${encodeURIComponent(deviceId)}/telemetry?since_seconds=${sinceSeconds}`;
  try {
    const response = await fetch(path, { headers: { Accept: "application/json" } });
    if (!response.ok) return [];
    return (await response.json()).points;
  } catch {
    return [];
  }
}
