// The beat that one points at, or else the selected one: its image, what the network says, and what can be corrected.

function showCard() {
  const beat = view.pointed || view.selected;
  byId("card-body").hidden = !beat;
  byId("card-empty").hidden = Boolean(beat);
  if (!beat) return;
  paint(byId("picture"), beat);
  const day = timeOfDay(beat.sample);
  byId("beat-title").replaceChildren(
    element("b", {class: `letter kind-${CLASSES[beat.label].kind}`}, CLASSES[beat.label].symbol), ` ${className(beat.label)}`);
  byId("beat-facts").replaceChildren(...[
    ["time", clock(beat.sample, 2) + (day ? ` (${day})` : "")],
    ["sample", grouped(FIRST + beat.sample)],
    ["RR before", interval(beat.deleted ? NaN : beat.rr)],
    ["RR after", interval(beat.deleted ? NaN : (beats.current[beat.place + 1] || {}).rr)],
  ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  byId("beat-label").textContent = labelWords(beat);
  byId("labels").replaceChildren(...CLASSES.map((_, label) => labelButton(beat, label)));
  byId("remove").textContent = beat.deleted ? "Take it back" : "Delete beat";
}

function className(label) {
  const {name, symbol, kind} = CLASSES[label];
  return name === symbol ? KIND_NAMES[kind] : name;
}

function interval(seconds) {
  return seconds ? `${seconds.toFixed(2)} s, ${(60 / seconds).toFixed(0)}/min` : "–";
}

function labelWords(beat) {
  if (beat.deleted) return "Deleted by hand.";
  if (beat.added) return "Added by hand.";
  if (beat.byHand) return `Labelled by hand; the network says ${CLASSES[beat.was].symbol}.`;
  return `Labelled by the network${beats.isDoubtful(beat) ? ", doubtful" : ""}.`;
}

// A class with the network's probability for it; pressing it labels the beat so.
function labelButton(beat, label) {
  const share = beat.added ? NaN : beats.probabilities[beat.index * CLASSES.length + label] / 255;
  const button = element("button", {type: "button", "aria-pressed": !beat.deleted && beat.label === label},
    element("kbd", {}, label < 9 ? String(label + 1) : ""), element("b", {class: `letter kind-${CLASSES[label].kind}`}, CLASSES[label].symbol),
    element("span", {class: "name"}, className(label)), element("span", {class: "share"}, Number.isNaN(share) ? "" : percent(share)),
    element("span", {class: "bar", style: `width: ${100 * (share || 0)}%`}));
  button.disabled = beat.deleted;
  button.addEventListener("click", () => {
    if (beat !== view.selected) view.select(beat, false);
    relabelSelected(label);
  });
  return button;
}

function relabelSelected(label) {
  if (!view.selected || !CLASSES[label]) return say("Select a beat first: click or tap it, or press →.");
  beats.relabel(view.selected, label);
  view.select(view.selected, false);
}

function removeSelected() {
  const beat = view.selected;
  if (!beat) return say("Select a beat first: click or tap it, or press →.");
  if (beat.deleted) beats.restore(beat); else beats.remove(beat);
  view.select(beat.added ? null : beat, false);
}

function setAdding(on) {
  view.adding = on;
  byId("add").setAttribute("aria-pressed", on);
  byId("strip").classList.toggle("adding", on);
  if (on) say("Click or tap where the beat is missing: it goes to the peak. Press A, or the button, again to leave.");
}

function addBeat(place) {
  const beat = beats.add(peakNear(place), 0);
  if (!beat) return say("There is a beat already.");
  setAdding(false);
  view.select(beat, false);
  say(`Added as ${CLASSES[0].symbol}. Choose its class, or undo.`);
}

function undo() {
  const beat = beats.undo();
  if (beat === undefined) return say("There is nothing to undo.");
  view.select(beat);
}

// A word to the reader, which goes away again.
function say(words) {
  const place = byId("said");
  place.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.textContent = ""; }, 5000);
}
