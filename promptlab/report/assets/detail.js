// One prediction, read: its row, its answer, every variant on that row, the exact messages, a diff of any two prompts.

async function read(state, row) {
  const { data } = state;
  const panel = byId("detail");
  const { columns } = data;
  const [id] = data.examples[columns.example[row]];
  const variant = data.variants[columns.variant[row]];
  state.reading = row;
  panel.hidden = false;
  const repeat = columns.repeat[row] ? `, repeat ${columns.repeat[row]}` : "";
  panel.replaceChildren(
    make("h3", {}, `Row ${id} · ${variant.id} · ${columns.split[row]}${repeat} · ${columns.status[row]}`),
    make("p", { class: "hint" }, variant.name),
    fields(data, row),
    make("h3", {}, "Every variant on this row"),
    beside(state, row),
  );
  const place = make("div", {}, make("p", { class: "hint" }, "unpacking the messages …"));
  panel.append(make("h3", {}, "Messages, byte for byte"), place);
  state.messages ??= unpack(readJson("data-messages"));
  const messages = await state.messages;
  if (state.reading !== row) return; // somebody went on meanwhile
  place.replaceChildren(...prompts(state, messages, row));
}

function fields(data, row) {
  const { columns } = data;
  const [, label, inputs] = data.examples[columns.example[row]];
  const list = make("dl");
  const add = (name, said) => list.append(
    make("dt", {}, name, " ", copyButton(name, said)),
    make("dd", { tabindex: "0", dir: "auto" }, said),
  );
  data.inputs.forEach((name, place) => { if (inputs[place] >= 0) add(name, textOf(data, inputs[place])); });
  if (label >= 0) add("label", textOf(data, label));
  if (columns.answer[row] >= 0) add("answer", textOf(data, columns.answer[row]));
  if (columns.error[row] >= 0) add("error", textOf(data, columns.error[row]));
  add("output", textOf(data, columns.output[row]));
  const told = [["score", columns.score[row]], ["tokens", columns.tokens[row]], ["ms", columns.ms[row]]];
  list.append(make("dt", {}, "figures"), make("dd", {},
    told.filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`).join(" · ")));
  return list;
}

function beside(state, row) {
  const { data } = state;
  const { columns } = data;
  const same = [];
  for (let other = 0; other < data.count; other++) {
    const here = columns.example[other] === columns.example[row] && columns.split[other] === columns.split[row];
    if (here && columns.repeat[other] === columns.repeat[row]) same.push(other);
  }
  same.sort((one, other) => columns.variant[one] - columns.variant[other]);
  const body = make("tbody");
  for (const other of same.slice(0, 300)) body.append(besideRow(state, other, other === row));
  const head = make("tr", {}, ...["variant", "status", "answer", "score", "output"].map((n) => make("th", { scope: "col" }, n)));
  const caption = make("caption", {}, `${same.length} variants answered this row`);
  const table = make("table", {}, caption, make("thead", {}, head), body);
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Every variant on this row" }, table);
}

function besideRow(state, row, current) {
  const { data } = state;
  const { columns } = data;
  const score = columns.score[row];
  const button = make("button", { type: "button", class: "pick id", title: data.variants[columns.variant[row]].name,
    onclick: () => read(state, row) }, data.variants[columns.variant[row]].id);
  return make("tr", { "aria-current": current ? "true" : null },
    make("td", { class: "id" }, button),
    make("td", {}, columns.status[row]),
    make("td", {}, oneLine(textOf(data, columns.answer[row]))),
    make("td", { class: `num ${scoreKind(data, score)}` }, scoreText(data, score)),
    make("td", {}, oneLine(textOf(data, columns.output[row]))));
}

// The messages of a prompt: pairs of places, role and content.
function messagesOf(messages, prompt) {
  const flat = messages.prompts[prompt];
  const found = [];
  for (let at = 0; at < flat.length; at += 2) found.push([messages.texts[flat[at]], messages.texts[flat[at + 1]]]);
  return found;
}

function asText(messages, row, members) {
  const told = (prompt) => messagesOf(messages, prompt).map(([role, content]) => `[${role}]\n${content}`).join("\n\n");
  return messages.asked[row].map((prompt, k) => (members.length > 1 ? `${memberTitle(members, k)}\n\n` : "") + told(prompt)).join("\n\n");
}

function variantOf(data, row) {
  return data.variants[data.columns.variant[row]];
}

// An ensemble asks one prompt for each member, in this order.
function memberTitle(members, k) {
  const [id, name] = members[k];
  return `Member ${k + 1} of ${members.length}: ${id}${name ? ` · ${name}` : ""}`;
}

function prompts(state, messages, row) {
  const shown = [];
  const { members } = variantOf(state.data, row);
  for (const [k, prompt] of messages.asked[row].entries()) {
    if (members.length > 1) shown.push(make("h4", { class: "member" }, memberTitle(members, k)));
    const found = messagesOf(messages, prompt);
    const json = () => JSON.stringify(found.map(([role, content]) => ({ role, content })), null, 2);
    shown.push(make("p", { class: "bar" }, "As JSON: ", copyButton("all messages as JSON", json)));
    for (const [role, content] of found) {
      const head = make("p", { class: "bar" }, make("span", { class: "role" }, role), copyButton(`the ${role} message`, content));
      shown.push(make("div", { class: "message" }, head, make("pre", { tabindex: "0", dir: "auto" }, content)));
    }
  }
  return [...shown, ...diffBar(state, messages, row)];
}

function diffBar(state, messages, row) {
  const { data } = state;
  const { columns } = data;
  const place = make("div");
  const whole = (each) => asText(messages, each, variantOf(data, each).members);
  const show = (other) => place.replaceChildren(drawDiff(wordDiff(whole(other), whole(row))));
  const select = make("select", { "aria-label": "Compare with the prompt of" }, make("option", { value: "" }, "choose a variant"));
  const firsts = new Map();
  for (let other = 0; other < data.count; other++) {
    const variant = columns.variant[other];
    if (!firsts.has(variant) || columns.example[other] === columns.example[row]) firsts.set(variant, other);
  }
  [...firsts].sort(([one], [other]) => one - other).forEach(([variant, other]) => {
    const same = columns.example[other] === columns.example[row] ? "" : ` (row ${data.examples[columns.example[other]][0]})`;
    select.append(make("option", { value: other }, `${data.variants[variant].id}${same} ${data.variants[variant].name}`));
  });
  select.addEventListener("change", () => (select.value === "" ? place.replaceChildren() : show(Number(select.value))));
  const pin = make("button", { type: "button" }, "Pin this prompt");
  pin.addEventListener("click", () => { state.pinned = row; pin.textContent = "Pinned: now read another"; });
  const bar = make("p", { class: "bar" }, "What is new here against ", select, pin);
  if (state.pinned !== undefined && state.pinned !== row && state.pinned < data.count) {
    bar.append(make("button", { type: "button", onclick: () => show(state.pinned) }, "Diff with the pinned prompt"));
  }
  return [make("h3", {}, "Prompt diff"), bar, place];
}
