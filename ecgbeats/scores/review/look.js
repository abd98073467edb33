// What all parts of the page share: colours, canvases, and what is shown now.

const byId = id => document.getElementById(id);
const KIND_NAMES = {N: "normal", S: "supraventricular", V: "ventricular", F: "fusion", Q: "paced or unknown"};

let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = name => style.getPropertyValue(`--${name}`).trim();
  colours = Object.fromEntries(["ground", "text", "soft", "line", "panel", "paper", "fine", "thick", "trace", "select",
    "hatch", "N", "S", "V", "F", "Q"].map(name => [name, read(name)]));
}

// A canvas that is drawn anew when it is told to, when its size changes, and when the colours do. What of it takes long,
// drawStill draws on a sheet below, and only where that is stale.
class Pane {
  static all = [];

  constructor(id, draw, drawStill = null) {
    this.canvas = byId(id);
    this.draw = draw;
    this.drawStill = drawStill;
    this.sheet = document.createElement("canvas");
    this.stale = true;
    this.pending = false;
    Pane.all.push(this);
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
  }

  refresh() {
    this.stale = true;
    this.redraw();
  }

  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.pending = false;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight, scale = view.printed ? 3 : window.devicePixelRatio || 1;
    if (!width || !height) return;
    const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== across || this.canvas.height !== down) [this.canvas.width, this.canvas.height] = [across, down];
    if (this.drawStill && (this.stale || this.sheet.width !== across || this.sheet.height !== down)) {
      [this.sheet.width, this.sheet.height] = [across, down];
      this.drawStill(ready(this.sheet, scale), width, height);
      this.stale = false;
    }
    const context = ready(this.canvas, scale);
    if (this.drawStill) context.drawImage(this.sheet, 0, 0, width, height);
    this.draw(context, width, height);
  }
}

function ready(canvas, scale) {
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.font = FONT;
  return context;
}

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif";
const BOLD = `bold ${FONT}`;

function hatch(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = colours.hatch;
  context.lineWidth = 1;
  context.beginPath();
  for (let i = Math.floor((x - height) / 10) * 10; i < x + width; i += 10) {
    context.moveTo(i, y + height);
    context.lineTo(i + height, y);
  }
  context.stroke();
  context.restore();
}

// The stretches of noise that reach into these samples.
function noiseWithin(start, end) {
  return beats.noise.filter(([from, to]) => from < end && to > start);
}

const view = {
  start: 0,          // the first sample of the strip
  speed: 25,         // mm/s
  gain: 10,          // mm/mV
  selected: null,
  pointed: null,
  adding: false,
  printed: false,
  whenMoved: new Set(),
  whenSelected: new Set(),

  moveTo(start) {
    this.start = Math.max(0, Math.min(start, LENGTH - strip.shown()));
    signal.want(this.start - 4 * RATE, this.start + strip.shown() + 4 * RATE);
    for (const tell of this.whenMoved) tell();
  },

  // Show a place in the middle of the strip's first or middle row.
  centre(sample) {
    this.moveTo(sample - strip.perRow() * (strip.rows() > 2 ? 1.5 : 0.5));
  },

  select(beat, move = true) {
    this.selected = beat;
    this.pointed = null;   // the mouse may rest on another beat
    if (beat && move) {
      strip.show(beat.sample);
      lists.follow();
    }
    for (const tell of this.whenSelected) tell();
  },

  point(beat) {
    if (beat === this.pointed) return;
    this.pointed = beat;
    for (const tell of this.whenSelected) tell();
  },
};
