// Lists of beats: of each class, doubtful ones, runs, pauses, those labelled or deleted by hand. Only the rows in sight
// exist.

const ROW = 72;          // pixels, as in style.css
const SPARE = 3;         // rows above and below those in sight

const lists = {
  chosen: null,
  entries: [],

  kinds() {
    const rest = {
      doubt: {words: "Doubtful", of: () => beats.current.filter(beat => beats.isDoubtful(beat)).sort((a, b) => a.probability - b.probability)},
      runs: {words: "Runs", of: () => beats.runs},
      pauses: {words: `RR over ${LONG_PAUSE} s`, of: () => beats.current.filter(beat => beat.rr > LONG_PAUSE)},
      hand: {words: "By hand", of: () => beats.current.filter(beat => beat.byHand)},
      deleted: {words: "Deleted", of: () => beats.all.filter(beat => beat.deleted)},
    };
    const classes = CLASSES.map((name, label) => [`class-${label}`,
      {words: name.name, symbol: name.symbol, kind: name.kind, of: () => beats.current.filter(beat => beat.label === label)}]);
    return {...Object.fromEntries(classes), ...rest};
  },

  choose(name) {
    this.chosen = name;
    byId("list").scrollTop = 0;
    this.refresh();
  },

  refresh() {
    const kinds = this.kinds();
    byId("tabs").replaceChildren(...Object.entries(kinds).map(([name, list]) => {
      const entries = list.of();
      if (name === this.chosen) this.entries = entries;
      const tab = element("button", {type: "button", role: "tab", "aria-selected": name === this.chosen, "data-list": name, class: entries.length ? "" : "none"},
        list.symbol ? element("b", {class: `letter kind-${list.kind}`}, list.symbol) : "",
        list.words === list.symbol ? "" : ` ${list.words}`, element("span", {class: "count"}, grouped(entries.length)));
      tab.addEventListener("click", () => this.choose(name));
      return tab;
    }));
    this.showRows();
  },

  // Scroll to the selected beat, where it is in the list.
  follow() {
    const list = byId("list"), place = this.entries.findIndex(entry => (entry.first || entry) === view.selected);
    if (place < 0) return;
    if (place * ROW < list.scrollTop || (place + 1) * ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = (place + 0.5) * ROW - list.clientHeight / 2;
    }
  },

  showRows() {
    const list = byId("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
    const last = Math.min(this.entries.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
    const rows = byId("rows");
    rows.style.height = `${this.entries.length * ROW}px`;
    rows.replaceChildren(...this.entries.slice(first, last).map((entry, i) => this.row(entry, first + i)));
    byId("list-empty").hidden = this.entries.length > 0;
  },

  row(entry, place) {
    const beat = entry.first || entry, chosen = view.selected === beat;
    const picture = element("canvas", {width: SIZE, height: SIZE, "aria-hidden": "true"});
    const words = entry.first
      ? [element("b", {}, `Run of ${entry.count} ${entry.kind}`), element("small", {}, `${clock(beat.sample, 1)}, ${entry.heartRate.toFixed(0)} a minute`)]
      : [element("b", {class: `letter kind-${CLASSES[beat.label].kind}`}, CLASSES[beat.label].symbol),
        element("span", {}, ` ${clock(beat.sample, 1)} `), element("small", {}, beatWords(beat))];
    const row = element("button", {type: "button", class: "row", "aria-current": chosen, style: `top: ${place * ROW}px`},
      picture, element("span", {class: "words"}, ...words));
    row.addEventListener("click", () => view.select(beat));
    paint(picture, beat);
    return row;
  },

  // The list's next entry behind the selected beat, by time; by=-1 the one before.
  step(name, by) {
    const entries = this.kinds()[name].of().map(entry => entry.first || entry).sort((a, b) => a.sample - b.sample);
    stepThrough(entries, by);
  },
};

function beatWords(beat) {
  const parts = [];
  if (beat.deleted) parts.push("deleted");
  else if (beat.added) parts.push("added");
  else if (beat.byHand) parts.push(beat.label === beat.was ? "by hand" : `by hand, was ${CLASSES[beat.was].symbol}`);
  else parts.push(percent(beat.probability));
  if (beat.rr && !beat.deleted) parts.push(`RR ${beat.rr.toFixed(2)} s`);
  return parts.join(", ");
}

// Go to the first of these beats behind where the reader is, or the last one before it.
function stepThrough(entries, by) {
  if (!entries.length) return say("There is none.");
  const here = view.selected ? view.selected.sample : view.start + strip.perRow() / 2;
  let next = firstFrom(entries, by > 0 ? here + (view.selected ? 1 : 0) : here) - (by > 0 ? 0 : 1);
  if (next < 0 || next >= entries.length) {
    say(by > 0 ? "That was the last one: going on from the first." : "That was the first one: going on from the last.");
    next = (next + entries.length) % entries.length;
  }
  view.select(entries[next]);
}

function percent(probability) {
  const value = Math.round(100 * probability);
  return value >= 100 ? "> 99 %" : `${value} %`;
}

// An element with attributes and children; texts stand in it as texts.
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Show a beat's image on a canvas of SIZE by SIZE, now or when its signal is there.
function paint(canvas, beat) {
  canvas.beat = beat;
  const pixels = imageOf(beat), context = canvas.getContext("2d");
  if (!pixels) {
    context.clearRect(0, 0, SIZE, SIZE);
    return waiting.add(canvas);
  }
  waiting.delete(canvas);
  context.putImageData(pixels, 0, 0);
}

const waiting = new Set(), drawn = new Map();
const MOST_DRAWN = 300;   // images that are kept, the latest ones

function imageOf(beat) {
  if (drawn.has(beat)) return drawn.get(beat);
  const image = drawBeat(beat);
  if (!image) return null;
  const pixels = new ImageData(SIZE, SIZE), words = new Uint32Array(pixels.data.buffer);
  image.forEach((gray, i) => { words[i] = 0xff000000 | gray << 16 | gray << 8 | gray; });
  if (drawn.size >= MOST_DRAWN) drawn.delete(drawn.keys().next().value);
  drawn.set(beat, pixels);
  return pixels;
}

function paintWaiting() {
  for (const canvas of [...waiting]) {
    if (canvas.isConnected) paint(canvas, canvas.beat); else waiting.delete(canvas);
  }
}
