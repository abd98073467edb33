// Lines as OpenCV draws them (polylines with LINE_AA, thickness 1), in gray levels: 255 is the background.

const SIZE = about.drawings.size, BORDER = about.drawings.border;
const EDGE = 2;         // pixels from the edge in which OpenCV draws no smooth line
const FALL = 1.8;       // how a pixel's share falls with its distance from the line

function blankImage() {
  return new Uint8Array(SIZE * SIZE).fill(255);
}

// A line through points [column, row], the row counted from `top`, clipped to the rows from top to bottom.
function drawLine(image, columns, rows, top = 0, bottom = SIZE, gray = 0) {
  for (let i = 1; i < columns.length; i++) {
    const ends = clip(columns[i - 1], rows[i - 1], columns[i], rows[i], bottom - top);
    if (ends) drawSegment(image, ...ends, top, gray);
  }
}

// What of a segment lies EDGE from the edges, or null (Liang and Barsky 1984).
function clip(x1, y1, x2, y2, height) {
  let from = 0, to = 1;
  for (const [delta, room] of [[x1 - x2, x1 - EDGE], [x2 - x1, SIZE - 1 - EDGE - x1],
    [y1 - y2, y1 - EDGE], [y2 - y1, height - 1 - EDGE - y1]]) {
    if (!delta && room < 0) return null;
    if (delta < 0) from = Math.max(from, room / delta);
    if (delta > 0) to = Math.min(to, room / delta);
  }
  if (from > to) return null;
  return [x1 + from * (x2 - x1), y1 + from * (y2 - y1), x1 + to * (x2 - x1), y1 + to * (y2 - y1)];
}

// At each whole place along the longer way, three pixels across. How dark: by the distance across, the slope, and how
// much of the two pixels around the segment covers.
function drawSegment(image, x1, y1, x2, y2, top, gray) {
  const steep = Math.abs(x2 - x1) <= Math.abs(y2 - y1);
  if (steep) [x1, y1, x2, y2] = [y1, x1, y2, x2];
  if (x1 > x2) [x1, y1, x2, y2] = [x2, y2, x1, y1];
  const slope = x2 > x1 ? (y2 - y1) / (x2 - x1) : 0, weight = Math.min(1, Math.SQRT1_2 * Math.hypot(1, slope));
  for (let along = Math.floor(x1); along <= Math.floor(x2) + 1; along++) {
    const covered = (Math.min(x2, along + 1) - Math.max(x1, along - 1)) / 2;
    if (covered <= 0) continue;
    const across = y1 + slope * (along - x1), middle = Math.floor(across + 0.5);
    for (let place = middle - 1; place <= middle + 1; place++) {
      const [column, row] = steep ? [place, along + top] : [along, place + top];
      if (column < 0 || row < 0 || column >= SIZE || row >= SIZE) continue;
      const share = weight * covered * Math.exp(-FALL * (place - across) ** 2);
      const at = row * SIZE + column;
      image[at] = Math.round(gray + (image[at] - gray) * (1 - share) ** 2);
    }
  }
}

// The points of a line without those that a straight line leaves out by no more than the tolerance (Douglas and
// Peucker 1973).
function simplify(columns, rows, tolerance) {
  const kept = new Uint8Array(columns.length), parts = [[0, columns.length - 1]];
  kept[0] = kept[columns.length - 1] = 1;
  while (parts.length) {
    const [first, last] = parts.pop();
    const dx = columns[last] - columns[first], dy = rows[last] - rows[first], length = Math.hypot(dx, dy) || 1;
    let farthest = 0, found = tolerance;
    for (let i = first + 1; i < last; i++) {
      const distance = Math.abs(dx * (rows[i] - rows[first]) - dy * (columns[i] - columns[first])) / length;
      if (distance > found) [farthest, found] = [i, distance];
    }
    if (farthest) {
      kept[farthest] = 1;
      parts.push([first, farthest], [farthest, last]);
    }
  }
  const take = values => values.filter((_, i) => kept[i]);
  return [take(columns), take(rows)];
}
