// The rhythm: RR intervals against time, and how often each occurs.

const NEARBY = 300;                 // seconds that the tachogram shows beside the whole record
const BIN = 0.025;                  // seconds, a bar of the histogram
const LEFT = 34, BELOW = 18;

// Seconds that the figures show: nearly all intervals; longer ones stand at the edge.
function longestShown() {
  const intervals = beats.intervals;
  return Math.min(3, Math.max(1, Math.ceil(2.4 * (intervals[Math.floor(0.998 * intervals.length)] || 1)) / 2));
}

const tachogram = {
  pane: new Pane("tachogram", (...sheet) => tachogram.drawPlace(...sheet), (...sheet) => tachogram.draw(...sheet)),
  whole: false,

  span() {
    if (this.whole || LENGTH <= NEARBY * RATE) return [0, LENGTH];
    const start = view.start + strip.shown() / 2 - NEARBY * RATE / 2, minute = 60 * RATE;
    const from = Math.max(0, Math.min(LENGTH - NEARBY * RATE, Math.round(start / minute) * minute));
    return [from, from + NEARBY * RATE];
  },

  sampleAt(x) {
    const [from, to] = this.span();
    return from + (x - LEFT) / (this.pane.canvas.clientWidth - LEFT) * (to - from);
  },

  // Where the strip is.
  drawPlace(context, width, height) {
    const [from, to] = this.span(), x = sample => LEFT + (sample - from) / (to - from) * (width - LEFT);
    const left = Math.max(LEFT, x(view.start)), right = Math.min(width, x(view.start + strip.shown()));
    context.fillStyle = colours.select;
    context.globalAlpha = 0.2;
    context.fillRect(left, 0, Math.max(2, right - left), height - BELOW);
    context.globalAlpha = 1;
  },

  draw(context, width, height) {
    const [from, to] = this.span(), floor = height - BELOW, longest = longestShown();
    const x = sample => LEFT + (sample - from) / (to - from) * (width - LEFT);
    const y = seconds => floor - Math.min(longest, seconds) / longest * (floor - 8);
    drawScale(context, width, y, longest);
    const step = (width - LEFT) / 5;
    context.fillStyle = colours.soft;
    for (let i = 0; i < 5; i++) context.fillText(clock(from + i / 5 * (to - from)), LEFT + i * step, height - 4);
    // Normal beats first, so that the others lie on top.
    for (const normal of [true, false]) {
      for (let i = firstFrom(beats.current, from); i < beats.current.length && beats.current[i].sample < to; i++) {
        const beat = beats.current[i];
        if ((beat.kind === "N") !== normal || Number.isNaN(beat.rr)) continue;
        drawPoint(context, beat.kind, x(beat.sample), y(beat.rr), this.whole ? 0.75 : 1);
      }
    }
  },
};

function moveTachogram() {
  const [from] = tachogram.span();
  if (from === tachogram.from) tachogram.pane.redraw(); else tachogram.pane.refresh();
  tachogram.from = from;
}

// Each kind has a form of its own: dot, square, triangle, diamond, cross.
function drawPoint(context, kind, x, y, scale) {
  const r = (kind === "N" ? 1.5 : 3.5) * scale;
  context.fillStyle = colours[kind];
  if (kind === "N" || kind === "S") return context.fillRect(x - r, y - r, 2 * r, 2 * r);
  const forms = {V: [[0, -1.3], [1.2, 1], [-1.2, 1]], F: [[0, -1.4], [1.2, 0], [0, 1.4], [-1.2, 0]],
    Q: [[-1, -1], [0, -0.3], [1, -1], [0.3, 0], [1, 1], [0, 0.3], [-1, 1], [-0.3, 0]]};
  context.beginPath();
  for (const [dx, dy] of forms[kind]) context.lineTo(x + dx * r, y + dy * r);
  context.fill();
}

function drawScale(context, width, y, longest) {
  context.textAlign = "right";
  for (let seconds = 0; seconds <= longest; seconds += 0.5) {
    context.fillStyle = colours.line;
    context.fillRect(LEFT, Math.round(y(seconds)), width - LEFT, 1);
    context.fillStyle = colours.soft;
    context.fillText(seconds ? seconds.toFixed(1) : "0 s", LEFT - 5, y(seconds) + 4);
  }
  context.textAlign = "left";
}

const histogram = {
  pane: new Pane("histogram", (context, width, height) => histogram.draw(context, width, height)),

  // How many intervals end at a beat of each kind, by length.
  counts(bins) {
    const counts = Object.fromEntries(Object.keys(KIND_NAMES).map(kind => [kind, new Uint32Array(bins)]));
    for (const beat of beats.current) {
      if (beat.rr >= 0) counts[beat.kind][Math.min(bins - 1, Math.floor(beat.rr / BIN))]++;
    }
    return counts;
  },

  draw(context, width, height) {
    const longest = longestShown(), bins = Math.round(longest / BIN), counts = this.counts(bins), floor = height - BELOW;
    const totals = Array.from({length: bins}, (_, i) => Object.values(counts).reduce((sum, of) => sum + of[i], 0));
    const most = Math.max(1, ...totals), wide = (width - 8) / bins;
    context.fillStyle = colours.soft;
    for (let seconds = 0; seconds < longest; seconds += 0.5) {
      const x = 4 + seconds / BIN * wide;
      context.fillRect(x, floor, 1, 4);
      context.fillText(seconds ? seconds.toFixed(1) : "0 s", x + 2, height - 4);
    }
    context.textAlign = "right";
    context.fillText(`highest bar: ${grouped(most)} beats`, width - 4, 12);
    context.textAlign = "left";
    const base = new Float64Array(bins).fill(floor);
    for (const kind in counts) {
      context.fillStyle = colours[kind];
      counts[kind].forEach((count, i) => {
        if (!count) return;
        const tall = Math.max(1, count / most * (floor - 16));
        base[i] -= tall;
        context.fillRect(4 + i * wide, base[i], Math.max(1, wide - 0.7), tall);
      });
    }
    context.fillStyle = colours.line;
    context.fillRect(4, floor, width - 8, 1);
  },
};

function rhythmWords() {
  const intervals = beats.intervals;
  if (!intervals.length) return "No intervals.";
  const median = intervals[intervals.length >> 1], pauses = intervals.filter(rr => rr > LONG_PAUSE).length;
  return `Median ${(1000 * median).toFixed(0)} ms (${(60 / median).toFixed(0)} beats a minute), longest ` +
    `${intervals[intervals.length - 1].toFixed(2)} s, ${grouped(pauses)} over ${LONG_PAUSE} s.`;
}

function listenToTachogram() {
  const {canvas} = tachogram.pane;
  canvas.addEventListener("click", event => {
    const sample = tachogram.sampleAt(event.clientX - canvas.getBoundingClientRect().left);
    view.select(nearest(beats.current, sample));
  });
  byId("tachogram-span").addEventListener("click", () => {
    tachogram.whole = !tachogram.whole;
    byId("tachogram-span").textContent = tachogram.whole ? "Show 5 minutes" : "Show the whole record";
    tachogram.pane.refresh();
  });
}
