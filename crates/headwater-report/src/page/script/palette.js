// Colours with evenly spaced lightness, computed in OKLab: what is larger is
// darker on paper and brighter on a dark screen, with or without colour vision.

const STEPS = 256;

/** An OKLCH colour as [red, green, blue] from 0 to 1; some may lie outside. */
function linearRgb(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
}

/** The same as bytes, with as much of the chroma as a screen can show. */
function screenRgb(lightness, chroma, hue) {
  let channels = linearRgb(lightness, chroma, hue);
  while (chroma > 0 && channels.some((c) => c < -1e-4 || c > 1 + 1e-4)) {
    chroma = Math.max(0, chroma - 0.004);
    channels = linearRgb(lightness, chroma, hue);
  }
  return channels.map((channel) => {
    const c = Math.min(1, Math.max(0, channel));
    const encoded = c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055;
    return Math.round(255 * encoded);
  });
}

/** A table of colours: `at(t)` gives [lightness, chroma, hue] for t from 0 to 1. */
function ramp(at) {
  const colours = Array.from({ length: STEPS }, (_, step) => {
    const [lightness, chroma, hue] = at(step / (STEPS - 1));
    return { lightness, rgb: screenRgb(lightness, chroma, hue) };
  });
  return {
    /** Packed for image data: 0xAABBGGRR. */
    pixels: Uint32Array.from(colours, ({ rgb: [r, g, b] }) =>
      ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0),
    css: (t) => `rgb(${colours[step(t)].rgb.join(" ")})`,
    /** Whether dark text is readable on the colour. */
    isLight: (t) => colours[step(t)].lightness > 0.62,
  };
}

/** The entry of a table for t from 0 to 1; what is outside takes the end. */
export function step(t) {
  if (t >= 1) return STEPS - 1;
  return t > 0 ? (t * (STEPS - 1) + 0.5) | 0 : 0;
}

/** Colourless at nothing, most colourful past the middle. */
const arch = (t) => Math.sin(Math.PI * 0.8 * t);
const half = (t) => Math.abs(2 * t - 1);

/** Sequential: from nothing to much. Diverging: less, the same, more. */
export const PALETTES = {
  light: {
    sequential: ramp((t) => [0.975 - 0.695 * t, 0.13 * arch(t), 195 + 80 * t]),
    diverging: ramp((t) => [0.975 - 0.5 * half(t), 0.16 * half(t), t < 0.5 ? 50 : 255]),
  },
  dark: {
    sequential: ramp((t) => [0.25 + 0.71 * t, 0.012 + 0.125 * arch(t), 265 - 160 * t]),
    diverging: ramp((t) => [0.25 + 0.55 * half(t), 0.15 * half(t), t < 0.5 ? 60 : 250]),
  },
};
