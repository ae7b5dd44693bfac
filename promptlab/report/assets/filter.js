// Which predictions are shown, and in which order. 20,000 rows: every text is searched once, rows look up the result.

function prepareRows(data) {
  const { columns, baseline } = data;
  const count = columns.variant.length;
  const splits = [...new Set(columns.split)];
  const key = (row) => (columns.repeat[row] * 4 + splits.indexOf(columns.split[row])) * data.examples.length + columns.example[row];
  const base = new Map();
  for (let row = 0; row < count; row++) if (columns.variant[row] === baseline) base.set(key(row), columns.score[row]);
  data.count = count;
  data.gaps = new Array(count);
  for (let row = 0; row < count; row++) {
    const own = columns.score[row];
    const other = base.get(key(row));
    const known = own !== null && other !== null && other !== undefined;
    data.gaps[row] = known ? own - other : null;
  }
  const scores = (columns.score ?? []).filter((score) => score !== null);
  data.graded = scores.some((score) => score !== 0 && score !== 1);
  data.low = scores.reduce((least, score) => Math.min(least, score), 0);
  data.high = scores.reduce((most, score) => Math.max(most, score), 1);
  return data;
}

function textOf(data, place) {
  return place < 0 ? "" : data.texts[place];
}

function matching(data, query) {
  if (!query) return null;
  const wanted = query.toLowerCase();
  data.lower ??= data.texts.map((text) => text.toLowerCase());
  const hit = new Uint8Array(data.texts.length);
  data.lower.forEach((text, place) => { hit[place] = text.includes(wanted) ? 1 : 0; });
  const has = (place) => place >= 0 && hit[place] === 1;
  const examples = data.examples.map(
    ([id, label, inputs]) => id.toLowerCase().includes(wanted) || has(label) || inputs.some(has),
  );
  const { example, answer, output, error } = data.columns;
  return (row) => examples[example[row]] || has(answer[row]) || has(output[row]) || has(error[row]);
}

function outcomeTest(data, outcome) {
  const { score } = data.columns;
  const tests = {
    right: (row) => score[row] !== null && score[row] >= 1,
    wrong: (row) => score[row] !== null && score[row] < 1,
    fixed: (row) => data.gaps[row] !== null && data.gaps[row] > 0,
    broken: (row) => data.gaps[row] !== null && data.gaps[row] < 0,
  };
  return tests[outcome] ?? null;
}

function filtered(data, wanted) {
  const { columns } = data;
  const tests = [];
  if (wanted.variant !== "") tests.push((row) => columns.variant[row] === Number(wanted.variant));
  if (wanted.split) tests.push((row) => columns.split[row] === wanted.split);
  if (wanted.status) tests.push((row) => columns.status[row] === wanted.status);
  if (wanted.label !== "") tests.push((row) => data.examples[columns.example[row]][1] === Number(wanted.label));
  const more = [outcomeTest(data, wanted.outcome), matching(data, wanted.query)];
  tests.push(...more.filter((test) => test !== null));
  const found = [];
  for (let row = 0; row < data.count; row++) if (tests.every((test) => test(row))) found.push(row);
  return found;
}

// The value by which a column sorts; null sorts last either way.
const VALUES = {
  example: (data, row) => data.examples[data.columns.example[row]][0],
  variant: (data, row) => data.columns.variant[row], // its rank
  split: (data, row) => data.columns.split[row],
  status: (data, row) => data.columns.status[row],
  label: (data, row) => textOf(data, data.examples[data.columns.example[row]][1]),
  answer: (data, row) => textOf(data, data.columns.answer[row]),
  score: (data, row) => data.columns.score[row],
  against: (data, row) => data.gaps[row],
  output: (data, row) => textOf(data, data.columns.output[row]).slice(0, 60),
};

const NATURAL = new Intl.Collator("en", { numeric: true }).compare; // m2 before m10

function ordered(texts) {
  const long = texts.some((text) => text.length > 40); // sentences: by their characters, that is ten times as fast
  return long ? texts.sort() : texts.sort(NATURAL);
}

function sorted(data, rows, { key, sign }) {
  if (!key) return rows;
  const values = new Map(rows.map((row) => [row, VALUES[key](data, row)]));
  const places = new Map();
  if (rows.some((row) => typeof values.get(row) === "string")) {
    // texts are few compared with rows: order them once, then compare numbers
    ordered([...new Set(values.values())]).forEach((text, place) => places.set(text, place));
  }
  const number = (row) => places.get(values.get(row)) ?? values.get(row);
  return rows.slice().sort((one, other) => {
    const [a, b] = [number(one), number(other)];
    if (a === null || b === null) return (a === null) - (b === null) || one - other;
    return sign * (a - b) || one - other;
  });
}
