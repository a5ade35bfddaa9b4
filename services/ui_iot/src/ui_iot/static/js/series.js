/** A bounded run of points of one metric, in the shape that uPlot draws: times in seconds, values, null for a gap. */

const MOST_POINTS = 3_000;
const GAP_SECONDS = 15;

export class Series {
  /** @type {number[]} */
  times = [];
  /** @type {(number | null)[]} */
  values = [];
  #points = 0;

  /** @returns {number} how many readings are held, gaps not counted */
  get points() {
    return this.#points;
  }

  /** @returns {number} seconds since 1970, or -Infinity while empty */
  get lastTime() {
    return this.times.at(-1) ?? -Infinity;
  }

  /**
   * Ignores what is not newer than the last point: history and live messages overlap.
   * @param {number} seconds
   * @param {number} value
   */
  push(seconds, value) {
    const last = this.lastTime;
    if (seconds <= last) return;
    if (seconds - last > GAP_SECONDS && this.times.length) this.#append(last + 0.001, null);
    this.#append(seconds, value);
    this.#points += 1;
    // Cut in larger pieces: taking one off the front for each one added would move the whole array every time.
    if (this.times.length > MOST_POINTS * 1.2) this.#drop(this.times.length - MOST_POINTS);
  }

  /** @param {number} seconds */
  forgetBefore(seconds) {
    let count = 0;
    while (count < this.times.length && /** @type {number} */ (this.times[count]) < seconds) count += 1;
    if (count > 1) this.#drop(count - 1);
  }

  /** @returns {{low: number, mean: number, high: number} | null} */
  spread() {
    let low = Infinity;
    let high = -Infinity;
    let sum = 0;
    for (const value of this.values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
      sum += value;
    }
    return this.#points ? { low, mean: sum / this.#points, high } : null;
  }

  /**
   * @param {number} seconds
   * @param {number | null} value
   */
  #append(seconds, value) {
    this.times.push(seconds);
    this.values.push(value);
  }

  /** @param {number} count */
  #drop(count) {
    this.times.splice(0, count);
    for (const value of this.values.splice(0, count)) if (value !== null) this.#points -= 1;
  }
}
