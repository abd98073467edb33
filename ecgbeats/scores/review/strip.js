// The strip: rows of ECG paper, one going on from the other, with the beats marked above.

const MM = 4;                     // CSS pixels to a millimetre of the paper, as printed ones are MM / PRINTED
const PRINTED = MM * 25.4 / 96;
const MARKS = 22;                 // pixels above a row's signal for the beats' letters
const CROWDED = 4.5;              // samples to a pixel from which on their lowest and highest alone are drawn
const PIECE = 64;                 // points of a stroke: a browser draws many short ones faster than a long one
const GRAB = 45, STILL = 5;       // pixels: how near a beat is meant, how far a click may slip

const strip = {
  pane: new Pane("strip", (context, width) => strip.draw(context, width)),

  rows() {
    return this.pane.canvas.clientWidth < 600 || view.printed && this.rowHeight() > 190 ? 2 : 3;   // a sheet holds no more
  },

  // Millimetres of a row: what the record's amplitudes take, and some space.
  millimetres() {
    const [low, high] = about.limits;
    return Math.round(Math.min(50, Math.max(26, (high - low) * 10 * 1.1 + 8)));
  },

  rowHeight() {
    return this.millimetres() * MM + MARKS;
  },

  perPixel() {
    return RATE / (view.speed * MM);
  },

  perRow() {
    return this.pane.canvas.clientWidth * this.perPixel();
  },

  shown() {
    return this.rows() * this.perRow();
  },

  // Whether a sample is shown, and not at the very edge.
  showsWell(sample) {
    const edge = Math.min(0.4 * RATE, this.perRow() / 8);
    const within = (sample - view.start) % this.perRow();
    return sample >= view.start && sample < view.start + this.shown() && within >= edge && within <= this.perRow() - edge;
  },

  // Move so that a sample is seen: the strip, and on a small screen the page.
  show(sample) {
    if (!this.showsWell(sample)) view.centre(sample);
    const box = this.pane.canvas.getBoundingClientRect();
    if (box.bottom < box.height / 2 || box.top > innerHeight - box.height / 2) this.pane.canvas.scrollIntoView({block: "center"});
  },

  sampleAt(x, y) {
    const row = Math.max(0, Math.min(this.rows() - 1, Math.floor(y / this.rowHeight())));
    return view.start + row * this.perRow() + x * this.perPixel();
  },

  draw(context, width) {
    for (let row = 0; row < this.rows(); row++) {
      context.save();
      context.translate(0, row * this.rowHeight());
      context.beginPath();
      context.rect(0, 0, width, this.rowHeight());
      context.clip();
      this.drawRow(context, width, view.start + row * this.perRow());
      context.restore();
    }
    context.fillStyle = colours.line;
    for (let row = 1; row < this.rows(); row++) context.fillRect(0, row * this.rowHeight() - 1, width, 1);
  },

  drawRow(context, width, start) {
    const height = this.rowHeight(), end = start + this.perRow(), perPixel = this.perPixel();
    const x = sample => (sample - start) / perPixel;
    const level = this.levelAround(start, end);
    const middle = MARKS + Math.round((height - MARKS) / 2 / MM) * MM;
    // The record's amplitudes stand in the middle of the row, on a line of the paper.
    const zero = middle + Math.round((about.limits[0] + about.limits[1]) / 2 * view.gain) * MM;
    const y = value => zero - (value - level) * view.gain * MM;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    drawGrid(context, Math.min(width, x(LENGTH)), height, start / perPixel, zero);
    for (const [from, to] of noiseWithin(start, end)) this.drawNoise(context, x(from), x(to), width, height);
    this.drawMarks(context, start, end, x, height);
    context.beginPath();
    context.rect(0, MARKS, width, height);
    context.clip();
    if (signal.has(start, end)) drawTrace(context, start, end, perPixel, x, y);
    else drawLabel(context, "reading …", 8, middle);
    const clockWords = timeOfDay(start) ? `${clock(start, 1)}  (${timeOfDay(start)})` : clock(start, 1);
    drawLabel(context, clockWords, 6, height - 7);
    const scale = `${view.speed} mm/s  ${view.gain} mm/mV`;
    if (end >= view.start + this.shown() - 1) drawLabel(context, scale, width - context.measureText(scale).width - 6, height - 7);
  },

  // The millivolts around which the signal stands: slow, so that rows keep still while they move.
  levelAround(start, end) {
    const from = Math.max(0, Math.floor(start)), to = Math.min(LENGTH, Math.ceil(end));
    if (to <= from || !signal.has(from, to)) return 0;
    const step = Math.max(1, Math.floor((to - from) / 400)), values = [];
    for (let i = Math.ceil(from / step) * step; i < to; i += step) values.push(signal.at(i));
    return values.sort((a, b) => a - b)[values.length >> 1] * about.step || 0;
  },

  drawNoise(context, from, to, width, height) {
    const left = Math.max(0, from), right = Math.min(width, to);
    hatch(context, left, MARKS, right - left, height - MARKS);
    drawLabel(context, "too poor to judge", left + 6, MARKS + 14);
  },

  drawMarks(context, start, end, x, height) {
    const slack = 20 * this.perPixel();
    let free = -Infinity;   // where letters of normal beats may stand without covering one another
    for (let i = firstFrom(beats.all, start - slack); i < beats.all.length && beats.all[i].sample < end + slack; i++) {
      const beat = beats.all[i], place = x(beat.sample);
      const chosen = beat === view.selected, pointed = beat === view.pointed;
      if (chosen || pointed) {
        context.globalAlpha = chosen ? 0.2 : 0.1;
        context.fillStyle = colours.select;
        const left = x(beat.sample - 0.3 * RATE);
        context.fillRect(left, MARKS, x(beat.sample + 0.36 * RATE) - left, height - MARKS);
        context.globalAlpha = 1;
      }
      const plain = CLASSES[beat.label].kind === "N" && beat.label === beat.was && !beat.deleted && !beats.isDoubtful(beat) && !chosen;
      if (plain && place < free) continue;
      if (!beat.deleted) free = place + 14;
      drawMark(context, beat, place, height, plain, chosen);
    }
  },
};

function drawGrid(context, width, height, offset, zero) {
  for (const [step, colour] of [[MM, colours.fine], [5 * MM, colours.thick]]) {
    context.fillStyle = colour;
    for (let i = Math.ceil(offset / step); i * step - offset < width; i++) context.fillRect(Math.round(i * step - offset), MARKS, 1, height - MARKS);
    for (let y = zero - Math.floor((zero - MARKS) / step) * step; y < height; y += step) context.fillRect(0, y, width, 1);
  }
}

function drawTrace(context, start, end, perPixel, x, y) {
  const from = Math.max(0, Math.floor(start)), to = Math.min(LENGTH, Math.ceil(end) + 1);
  context.strokeStyle = colours.trace;
  context.lineWidth = 1.4;
  context.lineJoin = "bevel";
  let points = 0;
  context.beginPath();
  const lineTo = (sample, value) => {
    context.lineTo(x(sample), y(value * about.step));
    if (++points % PIECE) return;
    context.stroke();
    context.beginPath();
    context.lineTo(x(sample), y(value * about.step));
  };
  if (perPixel < CROWDED) {
    for (let i = from; i < to; i++) lineTo(i, signal.at(i));
  } else {
    const width = Math.ceil(perPixel);
    for (let i = Math.floor(from / width) * width; i < to; i += width) {
      const range = signal.range(i, i + width);
      if (!range) continue;
      lineTo(i, range[1]);
      lineTo(i, range[0]);
    }
  }
  context.stroke();
}

function drawLabel(context, words, x, y) {
  const width = context.measureText(words).width;
  context.globalAlpha = 0.85;
  context.fillStyle = colours.paper;
  context.fillRect(x - 3, y - 12, width + 6, 16);
  context.globalAlpha = 1;
  context.fillStyle = colours.text;
  context.fillText(words, x, y);
}

// A beat's letter. Kinds differ in letter and box, not in colour alone; a doubtful one has "?", one labelled by hand a bar.
function drawMark(context, beat, x, height, plain, chosen) {
  const colour = beat.deleted ? colours.soft : colours[CLASSES[beat.label].kind];
  const words = CLASSES[beat.label].symbol + (beats.isDoubtful(beat) ? "?" : "");
  context.font = plain ? FONT : BOLD;
  const width = Math.max(16, context.measureText(words).width + 8), left = x - width / 2;
  if (!plain) {
    context.fillStyle = colour;
    context.globalAlpha = 0.45;
    context.fillRect(Math.round(x), MARKS, 1, height - MARKS);
    context.globalAlpha = 1;
  }
  const filled = !plain && !beat.deleted && CLASSES[beat.label].kind !== "N";
  context.beginPath();
  context.roundRect(left, 2, width, MARKS - 7, 4);
  context.fillStyle = filled ? colour : colours.paper;
  context.fill();
  if (!plain) {
    context.setLineDash(beats.isDoubtful(beat) || beat.deleted ? [3, 2] : []);
    context.strokeStyle = chosen ? colours.text : colour;
    context.lineWidth = chosen ? 2 : 1.2;
    context.stroke();
    context.setLineDash([]);
  }
  context.fillStyle = filled ? colours.paper : colour;
  context.fillText(words, x - context.measureText(words).width / 2, MARKS - 8);
  context.fillStyle = colours.text;
  if (beat.deleted) context.fillRect(left - 2, 8, width + 4, 2);
  else if (beat.byHand) context.fillRect(left, MARKS - 4, width, 3);
  context.font = FONT;
}

// The sample near a place where the signal stands farthest from its median: where a beat's peak is.
function peakNear(sample) {
  const from = Math.max(0, Math.round(sample - 0.3 * RATE)), to = Math.min(LENGTH, Math.round(sample + 0.3 * RATE));
  if (!signal.has(from, to)) return Math.round(sample);
  const values = signal.read(from, to), median = values.slice().sort()[values.length >> 1];
  let best = Math.round(sample), found = -1;
  for (let i = Math.round(sample - 0.05 * RATE); i <= sample + 0.05 * RATE; i++) {
    const height = Math.abs(values[i - from] - median);
    if (height > found) [best, found] = [i, height];
  }
  return Math.max(0, Math.min(LENGTH - 1, best));
}

function listenToStrip() {
  const canvas = strip.pane.canvas;
  let held = null;
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const beatAt = (x, y) => {
    const sample = strip.sampleAt(x, y), beat = nearest(beats.all, sample);
    return beat && Math.abs(beat.sample - sample) < GRAB * strip.perPixel() ? beat : null;
  };
  canvas.addEventListener("pointerdown", event => {
    held = {x: event.clientX, start: view.start, moved: false};
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (held) {
      if (Math.abs(event.clientX - held.x) > STILL) held.moved = true;
      if (held.moved) view.moveTo(held.start + (held.x - event.clientX) * strip.perPixel());
    } else if (event.pointerType !== "touch") {
      view.point(beatAt(...place(event)));
    }
  });
  canvas.addEventListener("pointerup", event => {
    if (held && !held.moved) {
      if (view.adding) addBeat(strip.sampleAt(...place(event)));
      else view.select(beatAt(...place(event)), false);
    }
    held = null;
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => view.point(null));
  canvas.addEventListener("wheel", event => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (!sideways || event.ctrlKey) return;   // up and down scrolls the page
    event.preventDefault();
    view.moveTo(view.start + sideways * (event.deltaMode ? 16 : 1) * strip.perPixel());
  }, {passive: false});
}

function layStrip() {
  strip.pane.canvas.style.height = `${strip.rows() * strip.rowHeight()}px`;
}
