// Light, dark, or as the system says; remembered where the browser allows it.

const THEMES = { auto: "◐ auto", light: "○ light", dark: "● dark" };

function remembered() {
  try {
    const kept = localStorage.getItem("promptlab-theme");
    return kept in THEMES ? kept : "auto";
  } catch {
    return "auto";
  }
}

function setTheme(name) {
  const button = byId("theme");
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  button.textContent = THEMES[name];
  button.setAttribute("aria-label", `Colours: ${name === "auto" ? "as the system" : name}`);
  try {
    localStorage.setItem("promptlab-theme", name);
  } catch { /* a page opened as a file may keep nothing */ }
}

function startTheme() {
  let name = remembered();
  setTheme(name);
  byId("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    name = names[(names.indexOf(name) + 1) % names.length];
    setTheme(name);
  });
}
