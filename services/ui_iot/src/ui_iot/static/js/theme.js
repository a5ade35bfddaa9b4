/** Colours for canvases, read from the style sheet's custom properties, and news of a change of the scheme. */

const scheme = matchMedia("(prefers-color-scheme: dark)");

/**
 * @param {Element} element
 * @param {string} name such as "--series"
 */
export function colour(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string} alpha two hexadecimal digits
 * @returns {string} the same colour, see-through
 */
export function tint(element, name, alpha) {
  const solid = colour(element, name);
  return /^#[0-9a-f]{6}$/i.test(solid) ? solid + alpha : solid;
}

/** @param {() => void} redraw */
export function onSchemeChange(redraw) {
  scheme.addEventListener("change", redraw);
}
