// While a run goes on: ask the server that the page came from how far it is; take the new page in when a round closes.

const PAUSE = 2000;

function startLive(state, read) {
  let facts = readJson("data-facts");
  if (!facts.live) return;
  const tell = (said) => { byId("live").textContent = said; };
  const look = async () => {
    try {
      const pulse = await (await fetch("pulse", { cache: "no-store" })).json();
      tell(`● running: ${pulse.calls.toLocaleString("en")} calls, ${pulse.rounds} round${pulse.rounds === 1 ? "" : "s"} closed`);
      if (pulse.shown !== facts.rounds || pulse.whole) facts = await renewed(state, read);
      if (!facts.live) tell("✓ complete");
    } catch {
      tell("○ the server has stopped; the page stays as it is");
      return;
    }
    if (facts.live) setTimeout(look, PAUSE);
  };
  setTimeout(look, PAUSE / 4);
}

async function renewed(state, read) {
  const said = await (await fetch("./", { cache: "no-store" })).text();
  const other = new DOMParser().parseFromString(said, "text/html"); // runs nothing
  for (const id of ["data-facts", "data-room", "data-messages"]) {
    byId(id).textContent = other.getElementById(id).textContent;
  }
  byId("main").replaceChildren(...other.getElementById("main").childNodes);
  document.querySelector("nav").replaceChildren(...other.querySelector("nav").childNodes);
  document.querySelector("header > div").replaceChildren(...other.querySelector("header > div").childNodes);
  startTables(read);
  await loadRoom(state);
  return readJson("data-facts");
}

start();
