// What differs between two texts, word by word: Myers (1986), greedy, with common ends cut off first.

const FARTHEST = 1500; // edits past which the middle is shown as replaced

function words(text) {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

// Parts in order: ["=" | "-" | "+", text]. All "=" and "-" parts are one text, all "=" and "+" parts the other.
function wordDiff(before, after) {
  const [a, b] = [words(before), words(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA--; endB--; }
  const middle = edits(a.slice(start, endA), b.slice(start, endB));
  const parts = [["=", a.slice(0, start).join("")], ...middle, ["=", a.slice(endA).join("")]];
  return merged(parts);
}

function edits(a, b) {
  const most = Math.min(FARTHEST, a.length + b.length);
  const trace = [];
  let ends = new Map([[1, 0]]);
  for (let d = 0; d <= most; d++) {
    trace.push(ends);
    const next = new Map(ends);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (next.get(k - 1) ?? -1) < (next.get(k + 1) ?? -1));
      let x = down ? next.get(k + 1) : next.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) return walked(a, b, trace, d);
    }
    ends = next;
  }
  return [["-", a.join("")], ["+", b.join("")]];
}

function walked(a, b, trace, last) {
  const parts = [];
  let [x, y] = [a.length, b.length];
  for (let d = last; d > 0; d--) {
    const ends = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const oldX = ends.get(from);
    const oldY = oldX - from;
    while (x > oldX && y > oldY && x > 0 && y > 0 && !(down ? x === oldX : y === oldY)) { parts.push(["=", a[--x]]); y--; }
    if (down) parts.push(["+", b[--y]]);
    else parts.push(["-", a[--x]]);
  }
  while (x > 0) { parts.push(["=", a[--x]]); y--; }
  return parts.reverse();
}

function merged(parts) {
  const found = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    if (found.length && found[found.length - 1][0] === kind) found[found.length - 1][1] += text;
    else found.push([kind, text]);
  }
  return found;
}

function drawDiff(parts) {
  const names = { "=": "span", "-": "del", "+": "ins" };
  return make("pre", { class: "diff", tabindex: "0" }, ...parts.map(([kind, text]) => make(names[kind], {}, text)));
}
