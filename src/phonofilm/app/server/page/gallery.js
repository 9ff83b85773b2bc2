// The films of this studio: one card each, told of progress by the server.
import { ask, content, sentence } from "./api.js";

const list = document.querySelector("#gallery");
const cards = new Map();
const streams = new Map();
let opened = () => {};
let failed = () => {};

export const films = new Map();

export function start({ onOpen, onError }) {
  opened = onOpen;
  failed = onError;
  document.querySelector("#older").addEventListener("click", () => load([...films.keys()].at(-1)).catch(failed));
}

export async function load(after = null) {
  const page = await ask(`/v1/videos?limit=24${after ? `&after=${after}` : ""}`);
  for (const film of page.data) show(film, false);
  document.querySelector("#older").hidden = !page.has_more;
  empty();
}

export function show(film, first = true) {
  const known = films.get(film.id);
  films.set(film.id, film);
  let card = cards.get(film.id);
  if (!card) {
    card = document.createElement("li");
    card.dataset.id = film.id;
    cards.set(film.id, card);
    first ? list.prepend(card) : list.append(card);
  }
  if (!known || known.status !== film.status) draw(card, film);
  else if (film.status === "in_progress" || film.status === "queued") update(card, film);
  if ((film.status === "queued" || film.status === "in_progress") && !streams.has(film.id)) follow(film.id);
  empty();
  return film;
}

function empty() { document.querySelector("#empty").hidden = cards.size > 0; }

function follow(id) {
  const source = new EventSource(`/v1/videos/${id}/events`);
  streams.set(id, source);
  const end = () => { source.close(); streams.delete(id); };
  source.onmessage = (event) => {
    const film = JSON.parse(event.data);
    show(film);
    document.dispatchEvent(new CustomEvent("film", { detail: film }));
    if (film.status === "completed" || film.status === "failed") end();
  };
  source.addEventListener("erased", end);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function draw(card, film) {
  const words = element("span", { className: "words", textContent: film.prompt || film.task });
  const about = element("p", { className: "about" });
  card.replaceChildren();
  if (film.status === "completed") {
    const open = element("button", { type: "button", className: "open" }, picture(film), words);
    open.setAttribute("aria-label", `Open: ${film.prompt || film.task}`);
    open.addEventListener("click", () => opened(film));
    hover(open, film);
    about.textContent = `${film.task}, ${Number(film.seconds).toFixed(1)} s${film.size ? `, ${film.size}` : ""}`;
    card.append(open, about);
    if (film.variants.includes("waveform")) card.append(wave(film));
  } else if (film.status === "failed") {
    about.classList.add("failed");
    about.textContent = film.error.code === "cancelled" ? "Cancelled." : sentence(film.error.message);
    card.append(words, about);
  } else {
    card.append(words, about, element("progress", { max: 100 }));
    update(card, film);
  }
  card.append(buttons(film));
}

function update(card, film) {
  const bar = card.querySelector("progress");
  if (!bar) return;
  bar.value = film.progress;
  bar.setAttribute("aria-label", `${film.progress} percent`);
  const ahead = film.queue_position ? `${film.queue_position} before it` : "next";
  const left = film.seconds_left == null ? "" : `, about ${Math.ceil(film.seconds_left)} s left`;
  card.querySelector(".about").textContent =
    film.status === "queued" ? `Waits: ${ahead}` : `${film.stage ?? "begins"}, ${film.progress} %${left}`;
}

function picture(film) {
  if (!film.variants.includes("thumbnail")) return element("span", { className: "pic" });
  return element("img", { className: "pic", src: content(film.id, "thumbnail"), alt: "", loading: "lazy" });
}

function hover(open, film) {
  if (!film.variants.includes("video")) return;
  let video = null;
  const begin = () => {
    if (video) return;
    video = element("video", { className: "pic", src: content(film.id, "video"), muted: true, loop: true });
    video.playsInline = true;
    open.querySelector(".pic").replaceWith(video);
    video.play().catch(() => {});
  };
  const end = () => { if (video) { video.replaceWith(picture(film)); video = null; } };
  open.addEventListener("pointerenter", begin);
  open.addEventListener("pointerleave", end);
  open.addEventListener("focus", begin);
  open.addEventListener("blur", end);
}

function wave(film) {
  const canvas = element("canvas", { width: 300, height: 28 });
  canvas.setAttribute("aria-hidden", "true");
  ask(content(film.id, "waveform")).then((shape) => paint(canvas, shape.peaks)).catch(() => canvas.remove());
  return canvas;
}

export function paint(canvas, peaks) {
  const brush = canvas.getContext("2d");
  const { width, height } = canvas;
  brush.clearRect(0, 0, width, height);
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--wave");
  for (let x = 0; x < width; x++) {
    const tall = Math.max(1, (peaks[Math.floor((x * peaks.length) / width)] / 100) * height);
    brush.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

function buttons(film) {
  const row = element("div", { className: "row" });
  const waits = film.status === "queued" || film.status === "in_progress";
  const button = element("button", { type: "button", textContent: waits ? "Cancel" : "Erase" });
  button.setAttribute("aria-label", `${button.textContent}: ${film.prompt || film.task}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if (waits) show(await ask(`/v1/videos/${film.id}/cancel`, { method: "POST" }));
      else await erase(film.id);
    } catch (error) { failed(error); button.disabled = false; }
  });
  row.append(button);
  return row;
}

async function erase(id) {
  await ask(`/v1/videos/${id}`, { method: "DELETE" });
  cards.get(id).remove();
  cards.delete(id);
  films.delete(id);
  document.dispatchEvent(new CustomEvent("erased", { detail: id }));
  empty();
}
