// The live tab: a film that is made while it is watched, and whose words change while it runs.
import { csrf, sentence } from "./api.js";
import { LiveFilm } from "./live_film.js";

const find = (name) => document.querySelector(`#live-${name}`);
let film = null;

export function enter(models, possible) {
  const options = models.map((name) => Object.assign(document.createElement("option"), { value: name, textContent: name }));
  find("model").replaceChildren(...options);
  if (!possible) fail("No live films are made here; phonofilm serve --live 1 allows one at a time.");
  find("go").disabled = !possible;
}

export function start() {
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    find("error").hidden = true;
    if (film && !film.ended) film.say(find("prompt").value);
    else begin();
  });
  find("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("form").requestSubmit();
  });
  find("stop").addEventListener("click", () => { film.stop(); note("The film ends."); });
  find("pause").addEventListener("click", () => film.pause(find("pause").getAttribute("aria-pressed") !== "true"));
  window.addEventListener("pagehide", () => film?.leave());
}

function begin() {
  film?.leave();
  const first = { type: "begin", prompt: find("prompt").value, model: find("model").value, token: csrf() };
  first.seed = Number(find("seed").value) || 0;
  first.draft = find("draft").checked;
  film = new LiveFilm(find("film"), "/v1/videos/stream", first);
  let switched = "";
  running(true);
  note("The model is being made ready.");
  film.addEventListener("hello", () => note("The first picture is being made."));
  film.addEventListener("shown", ({ detail }) => {
    if (detail.since !== null) switched = ` · the new words were seen after ${detail.since.toFixed(1)} s`;
    find("now").textContent = `${detail.start.toFixed(1)} s · ${detail.delay.toFixed(1)} s after it was made${switched} · ${detail.prompt}`;
    if (find("note").textContent.startsWith("The first picture")) note("");
  });
  film.addEventListener("note", ({ detail }) => note(sentence(detail.text)));
  film.addEventListener("state", ({ detail }) => {
    pressed(detail.paused);
    note(detail.paused ? "Paused." : "");
  });
  film.addEventListener("end", ({ detail }) => {
    running(false);
    const began = find("now").textContent !== "";
    if (detail.why && detail.why !== "the film is over" && !began) { note(""); fail(detail.why); }
    else note(sentence(detail.why ?? "The film is over"));
  });
  find("now").textContent = "";
}

function running(now) {
  for (const name of ["pause", "stop"]) find(name).disabled = !now;
  for (const name of ["model", "seed", "draft"]) find(name).disabled = now;
  find("go").textContent = now ? "Change the words" : "Begin";
  pressed(false);
}

function pressed(paused) {
  find("pause").textContent = paused ? "Go on" : "Pause";
  find("pause").setAttribute("aria-pressed", String(paused));
}

function note(text) { find("note").textContent = text; }

function fail(text) {
  find("error").textContent = sentence(text);
  find("error").hidden = false;
}
