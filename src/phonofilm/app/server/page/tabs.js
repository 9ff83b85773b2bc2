// The tabs of the studio: films, live, and one for each report that the server was given.
const list = document.querySelector("#tabs");
const tabs = () => [...list.querySelectorAll("[role=tab]")];

function choose(tab, focus = true) {
  for (const one of tabs()) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    const panel = document.getElementById(one.getAttribute("aria-controls"));
    panel.hidden = !chosen;
    const frame = panel.querySelector("iframe");
    if (chosen && frame && !frame.src) frame.src = frame.dataset.src;
  }
  if (focus) tab.focus();
}

function keys(event) {
  const all = tabs();
  const at = all.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  choose(all[(to + all.length) % all.length]);
}

export function start() {
  list.addEventListener("click", (event) => { if (event.target.getAttribute("role") === "tab") choose(event.target); });
  list.addEventListener("keydown", keys);
}

export function addReports(titles) {
  for (const old of list.querySelectorAll(".report")) old.remove();
  titles.forEach((title, number) => {
    const tab = Object.assign(document.createElement("button"), { type: "button", id: `tab-report-${number}`, textContent: title, tabIndex: -1, className: "report" });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-selected", "false");
    tab.setAttribute("aria-controls", `report-${number}`);
    let panel = document.getElementById(`report-${number}`);
    if (!panel) {
      panel = Object.assign(document.createElement("section"), { id: `report-${number}`, hidden: true, className: "report" });
      panel.setAttribute("role", "tabpanel");
      const frame = Object.assign(document.createElement("iframe"), { title });
      frame.dataset.src = `/reports/${number}`;
      panel.append(frame);
      document.querySelector("main").append(panel);
    }
    panel.setAttribute("aria-labelledby", tab.id);
    list.append(tab);
  });
}
