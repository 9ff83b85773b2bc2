// The page of one film in the making.
import { LiveFilm } from "./live_film.js";

const find = (name) => document.getElementById(name);
const [begin, pause, stop, prompt, note] = ["begin", "pause", "stop", "prompt", "note"].map(find);
let film = null;

begin.addEventListener("click", () => {
  begin.hidden = true;
  film = new LiveFilm(find("film"), "/v1/live");
  film.addEventListener("hello", ({ detail }) => {
    document.querySelector(".stage").style.aspectRatio = `${detail.width} / ${detail.height}`;
    prompt.value = detail.prompt;
    shown(detail.paused);
    pause.disabled = stop.disabled = false;
  });
  film.addEventListener("chunk", ({ detail }) => {
    const speed = detail.cost > 0 ? `, ${Math.round(1000 * detail.cost)} ms to make` : "";
    find("now").textContent = `${detail.start.toFixed(1)} s${speed} · ${detail.prompt}`;
  });
  film.addEventListener("note", ({ detail }) => { note.textContent = detail.text; });
  film.addEventListener("state", ({ detail }) => {
    shown(detail.paused);
    if (document.activeElement !== prompt) prompt.value = detail.prompt;
    note.textContent = "";
  });
  film.addEventListener("end", ({ detail }) => {
    pause.disabled = stop.disabled = true;
    note.textContent = detail.why ?? "The film is over.";
  });
});

function shown(paused) {
  pause.textContent = paused ? "Go on" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
}

pause.addEventListener("click", () => film.pause(pause.getAttribute("aria-pressed") !== "true"));
stop.addEventListener("click", () => film.stop());
find("say").addEventListener("submit", (event) => {
  event.preventDefault();
  film?.say(prompt.value);
});
