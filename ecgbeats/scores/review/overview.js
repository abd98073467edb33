// The whole record at a glance: the signal, how dense the beats of each class are, and where the strip is.

const LANE = 13, ENVELOPE = 34, LABELS = 22, AXIS = 16;   // pixels

const overview = {
  pane: new Pane("overview", (...sheet) => overview.drawPlace(...sheet), (...sheet) => overview.draw(...sheet)),

  // One for each class that has beats, and one for doubt.
  lanes() {
    const classes = CLASSES.map((name, label) => ({words: name.symbol, colour: name.kind, has: beat => beat.label === label}));
    return [...classes.filter((_, label) => beats.counts[label]),
      {words: "?", colour: "text", has: beat => beats.isDoubtful(beat)}];
  },

  // While the signal is unpacked, now and then.
  refreshSoon() {
    if (this.soon) return;
    this.soon = setTimeout(() => { this.soon = 0; this.pane.refresh(); }, 250);
  },

  sampleAt(x) {
    return (x - LABELS) / (this.pane.canvas.clientWidth - LABELS) * LENGTH;
  },

  // Where the strip is.
  drawPlace(context, width, height) {
    const x = sample => LABELS + sample / LENGTH * (width - LABELS);
    const [left, right] = [x(view.start), x(Math.min(LENGTH, view.start + strip.shown()))];
    context.fillStyle = colours.select;
    context.globalAlpha = 0.25;
    context.fillRect(left, 0, Math.max(3, right - left), height - AXIS);
    context.globalAlpha = 1;
    context.strokeStyle = colours.text;
    context.lineWidth = 1.5;
    context.strokeRect(left, 1, Math.max(3, right - left), height - AXIS - 2);
  },

  draw(context, width, height) {
    const room = width - LABELS, columns = Math.floor(room);
    this.drawEnvelope(context, columns);
    for (const [from, to] of beats.noise) {
      hatch(context, LABELS + from / LENGTH * room, 0, Math.max(2, (to - from) / LENGTH * room), ENVELOPE);
    }
    this.lanes().forEach((lane, i) => this.drawLane(context, lane, ENVELOPE + i * LANE, columns));
    context.fillStyle = colours.soft;
    for (const sample of hourMarks(room)) {
      const x = LABELS + sample / LENGTH * room, words = clock(sample);
      context.fillRect(x, height - AXIS, 1, 4);
      const wide = context.measureText(words).width;
      context.fillText(words, Math.min(width - wide, Math.max(0, x - (sample ? wide / 2 : 0))), height - 2);
    }
  },

  drawEnvelope(context, columns) {
    const [low, high] = about.limits, margin = 0.4 * (high - low) || 1;
    const y = value => Math.max(0, Math.min(ENVELOPE - 1, (high + margin - value) / (high - low + 2 * margin) * ENVELOPE));
    context.fillStyle = colours.trace;
    context.globalAlpha = 0.6;
    for (let column = 0; column < columns; column++) {
      const from = Math.floor(column / columns * LENGTH), to = Math.max(from + 1, Math.floor((column + 1) / columns * LENGTH));
      const range = signal.range(from, to);
      if (!range) continue;
      const top = y(range[1] * about.step);
      context.fillRect(LABELS + column, top, 1, Math.max(1, y(range[0] * about.step) - top));
    }
    context.globalAlpha = 1;
  },

  drawLane(context, lane, top, columns) {
    const counts = new Uint32Array(columns);
    let most = 0;
    for (const beat of beats.current) {
      if (!lane.has(beat)) continue;
      const column = Math.min(columns - 1, Math.floor(beat.sample / LENGTH * columns));
      if (++counts[column] > most) most = counts[column];
    }
    context.fillStyle = colours.panel;
    context.fillRect(LABELS, top + LANE - 1, columns, 1);
    context.fillStyle = colours[lane.colour];
    context.font = BOLD;
    context.fillText(lane.words, 4, top + LANE - 2);
    context.font = FONT;
    counts.forEach((count, column) => {
      if (!count) return;
      const tall = Math.max(3, Math.round(Math.sqrt(count / most) * (LANE - 2)));   // one beat among thousands is seen
      context.fillRect(LABELS + column, top + LANE - 1 - tall, most === 1 ? 2 : 1, tall);
    });
  },
};

// Round places along the record, as many as there is room for their words.
function hourMarks(room) {
  const steps = [10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = (steps.find(seconds => seconds * RATE / LENGTH * room > 70) || 86400 * Math.ceil(LENGTH / RATE / 604800)) * RATE;
  const start = Math.ceil(FIRST / step) * step - FIRST;
  return Array.from({length: Math.floor((LENGTH - start) / step) + 1}, (_, i) => start + i * step);
}

function layOverview() {
  overview.pane.canvas.style.height = `${ENVELOPE + overview.lanes().length * LANE + AXIS}px`;
}

function listenToOverview() {
  const {canvas} = overview.pane;
  let held = false;
  const go = event => view.centre(overview.sampleAt(event.clientX - canvas.getBoundingClientRect().left));
  canvas.addEventListener("pointerdown", event => { held = true; canvas.setPointerCapture(event.pointerId); go(event); });
  canvas.addEventListener("pointermove", event => { if (held) go(event); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = false; });
}
