// One film: its timeline, its stems, and what can be made of it.
import { ask, content, post, send } from "./api.js";
import { films, paint } from "./gallery.js";

const find = (name) => document.querySelector(`#${name}`);
const [video, videoB, line] = [find("video"), find("video-b"), find("timeline")];
let film = null;
let stems = {};
let audio = null;
let made = () => {};
let failed = () => {};

export function start({ onMade, onError }) {
  made = onMade;
  failed = onError;
  find("close").addEventListener("click", close);
  find("play").addEventListener("click", toggle);
  find("retake").addEventListener("click", () => work("retake", span));
  find("extend").addEventListener("click", () => work("extensions", () => ({ seconds: number("more") })));
  find("foley").addEventListener("click", () => work("foley", () => ({})));
  find("animate").addEventListener("click", () => work("animate", () => ({})));
  find("remix").addEventListener("click", remix);
  find("soundtrack").addEventListener("click", soundtrack);
  find("other").addEventListener("change", compare);
  find("swap").addEventListener("click", swap);
  for (const name of ["from", "to"]) find(name).addEventListener("input", mark);
  line.addEventListener("pointerdown", drag);
  line.addEventListener("keydown", keys);
  video.addEventListener("play", () => { find("play").textContent = "Pause"; follow("play"); });
  video.addEventListener("pause", () => { find("play").textContent = "Play"; follow("pause"); });
  video.addEventListener("seeking", () => follow("seek"));
  video.addEventListener("error", () => { if (film) failed(new Error("This film cannot be played here; download it.")); });
  document.addEventListener("erased", (event) => { if (film?.id === event.detail) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && film) close();
  });
  requestAnimationFrame(tick);
}

export async function open(chosen) {
  close();
  film = chosen;
  find("player").hidden = false;
  find("player-title").textContent = film.prompt || film.task;
  video.src = content(film.id, film.variants.includes("video") ? "video" : "audio");
  find("frames").hidden = !film.variants.includes("spritesheet");
  if (!find("frames").hidden) strip(film.id);
  line.setAttribute("aria-valuemax", film.seconds);
  find("from").value = 0;
  find("to").value = Number(film.seconds).toFixed(2);
  find("selection").hidden = true;
  for (const [name, variant] of [["retake", "video"], ["extend", "video"], ["foley", "video"], ["animate", "audio"]])
    find(name).disabled = !film.variants.includes(variant);
  drawEvents();
  drawDownloads();
  drawOthers();
  find("notices").replaceChildren(...film.notices.map((text) => item("li", text)));
  find("player").scrollIntoView({ block: "nearest" });
  find("player-title").focus({ preventScroll: true });
  mixer();
  try {
    const shape = await ask(content(film.id, "waveform"));
    find("wave").width = line.clientWidth;
    paint(find("wave"), shape.peaks);
  } catch { find("wave").getContext("2d").clearRect(0, 0, 9999, 99); }
}

export function close() {
  if (!film) return;
  video.pause();
  video.removeAttribute("src");
  video.load();
  for (const one of Object.values(stems)) one.sound.pause();
  stems = {};
  videoB.hidden = true;
  videoB.pause();
  film = null;
  find("player").hidden = true;
}

// --- time ---

function tick() {
  if (film && video.duration) {
    const at = video.currentTime;
    find("needle").style.left = `${(100 * at) / video.duration}%`;
    find("clock").textContent = `${at.toFixed(2)} of ${video.duration.toFixed(2)} s`;
    line.setAttribute("aria-valuenow", at.toFixed(2));
    line.setAttribute("aria-valuetext", `${at.toFixed(2)} seconds`);
    for (const one of Object.values(stems))
      if (!video.paused && Math.abs(one.sound.currentTime - at) > 0.08) one.sound.currentTime = at;
    if (!videoB.hidden && Math.abs(videoB.currentTime - at) > 0.08) videoB.currentTime = at;
  }
  requestAnimationFrame(tick);
}

function toggle() {
  if (!video.paused) return video.pause();
  audio?.resume();
  return video.play().catch((error) => { if (error.name !== "AbortError") failed(new Error("This film cannot be played here.")); });
}

function follow(what) {
  const others = [...Object.values(stems).map((one) => one.sound), ...(videoB.hidden ? [] : [videoB])];
  for (const other of others) {
    other.currentTime = video.currentTime;
    if (what === "play") other.play().catch(() => {});
    if (what === "pause") other.pause();
  }
}

function drag(event) {
  const at = (e) => {
    const box = line.getBoundingClientRect();
    return Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)) * Number(film.seconds);
  };
  const began = at(event);
  line.setPointerCapture(event.pointerId);
  const move = (e) => {
    if (Math.abs(at(e) - began) < 0.03 * Number(film.seconds)) return;
    find("from").value = Math.min(began, at(e)).toFixed(2);
    find("to").value = Math.max(began, at(e)).toFixed(2);
    mark();
  };
  const end = (e) => {
    line.removeEventListener("pointermove", move);
    if (Math.abs(at(e) - began) < 0.03 * Number(film.seconds)) video.currentTime = began;
  };
  line.addEventListener("pointermove", move);
  line.addEventListener("pointerup", end, { once: true });
}

function keys(event) {
  const step = event.shiftKey ? 1 : 0.1;
  const go = { ArrowLeft: -step, ArrowRight: step, Home: -1e9, End: 1e9 }[event.key];
  if (go !== undefined) video.currentTime = Math.min(Math.max(0, video.currentTime + go), video.duration - 0.01);
  else if (event.key === " ") toggle();
  else if (event.key === "[" || event.key === "]") {
    find(event.key === "[" ? "from" : "to").value = video.currentTime.toFixed(2);
    mark();
  } else return;
  event.preventDefault();
}

function mark() {
  const { start: from, end: to } = span();
  const all = Number(film.seconds);
  Object.assign(find("selection").style, { left: `${(100 * from) / all}%`, width: `${(100 * (to - from)) / all}%` });
  find("selection").hidden = !(to > from);
}

const number = (name) => Number(find(name).value);
const span = () => ({ start: number("from"), end: number("to") });

// --- what it shows ---

function item(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function strip(id) {
  const sheet = new Image();
  sheet.onload = () => {
    const [across, down] = [6, 4];
    const [width, height] = [sheet.width / across, sheet.height / down];
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: width * across * down, height });
    const brush = canvas.getContext("2d");
    for (let n = 0; n < across * down; n++)
      brush.drawImage(sheet, (n % across) * width, Math.floor(n / across) * height, width, height, n * width, 0, width, height);
    find("frames").src = canvas.toDataURL("image/jpeg", 0.8);
  };
  sheet.src = content(id, "spritesheet");
}

function drawEvents() {
  const marks = (film.facts.events ?? []).slice(0, 200).map((event) => {
    const made = item("span", event.label ?? event.kind);
    made.style.left = `${(100 * event.time) / Number(film.seconds)}%`;
    return made;
  });
  find("events").replaceChildren(...marks);
}

function drawDownloads() {
  const names = { video: "MP4", audio: "WAV", stems: "Stems", subtitles: "Subtitles", recipe: "Recipe" };
  const links = Object.entries(names).filter(([variant]) => film.variants.includes(variant)).map(([variant, name]) => {
    const link = item("a", name);
    link.className = "button";
    link.href = content(film.id, variant);
    link.download = "";
    link.setAttribute("aria-label", `Download ${name}`);
    return link;
  });
  find("downloads").replaceChildren(...links);
}

function drawOthers() {
  const others = [...films.values()].filter((one) => one.id !== film.id && one.variants.includes("video"));
  const options = others.map((one) => Object.assign(item("option", (one.prompt || one.task).slice(0, 60)), { value: one.id }));
  find("other").replaceChildren(Object.assign(item("option", "nothing"), { value: "" }), ...options);
  find("swap").disabled = true;
}

function compare() {
  const id = find("other").value;
  videoB.hidden = !id;
  find("swap").disabled = !id;
  find("swap").textContent = "Hear the other";
  videoB.muted = true;
  apply();
  if (!id) return videoB.pause();
  videoB.src = content(id, "video");
  videoB.currentTime = video.currentTime;
  return video.paused ? undefined : videoB.play().catch(() => {});
}

function swap() {
  videoB.muted = !videoB.muted;
  find("swap").textContent = videoB.muted ? "Hear the other" : "Hear the first";
  apply();
}

// --- stems ---

function mixer() {
  const names = ["speech", "effects", "music"].filter((name) => film.variants.includes(`stem-${name}`));
  find("mixer").hidden = !names.length;
  find("mixer").replaceChildren(...names.map(fader));
  apply();
}

function fader(name) {
  const sound = new Audio(content(film.id, name));
  sound.loop = true;
  stems[name] = { sound, level: 0, mute: false, solo: false };
  const row = document.createElement("div");
  const slide = Object.assign(document.createElement("input"), { type: "range", min: -40, max: 0, value: 0, id: `fader-${name}` });
  slide.setAttribute("aria-valuetext", "0 decibels");
  slide.addEventListener("input", () => {
    stems[name].level = Number(slide.value);
    slide.setAttribute("aria-valuetext", `${slide.value} decibels`);
    apply();
  });
  const label = Object.assign(item("label", name), { htmlFor: slide.id });
  row.append(label, slide, ...["mute", "solo"].map((what) => {
    const button = Object.assign(item("button", what), { type: "button", id: `${what}-${name}` });
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `${what} ${name}`);
    button.addEventListener("click", () => {
      stems[name][what] = !stems[name][what];
      button.setAttribute("aria-pressed", String(stems[name][what]));
      button.classList.toggle("primary", stems[name][what]);
      apply();
    });
    return button;
  }));
  return row;
}

// The film's own mix plays until a fader is touched; then its stems do.
export function apply() {
  const all = Object.values(stems);
  const solo = all.some((one) => one.solo);
  const touched = all.some((one) => one.level || one.mute || one.solo);
  const other = !videoB.hidden && !videoB.muted;
  video.muted = touched || other;
  for (const one of all) {
    const heard = touched && !other && !one.mute && (!solo || one.solo);
    one.sound.muted = !heard;
    one.sound.volume = heard ? 10 ** (one.level / 20) : 0;
    if (!video.paused && one.sound.paused) one.sound.play().catch(() => {});
  }
}

// --- what is made of it ---

async function work(how, values) {
  await attempt(() => post(`/v1/videos/${how}`, { ...values(), video: { id: film.id }, model: modelOf(), prompt: words(how) }));
}

const modelOf = () => (films.get(film.id).task === "speech" ? undefined : film.model);
const words = (how) => (how === "extensions" || how === "retake" ? find("prompt").value || film.prompt || "" : film.prompt || "");

async function remix() {
  await attempt(() => post(`/v1/videos/${film.id}/remix`, { prompt: find("prompt").value }));
}

async function soundtrack() {
  const said = find("say").value.trim();
  const values = { "video[id]": film.id, keep: find("keep").checked, make_effects: !find("keep").checked, model: film.model };
  if (said) values.say = said;
  await attempt(() => send("/v1/videos/soundtrack", values, { music_file: find("music").files[0] }));
}

async function attempt(request) {
  try { made(await request()); } catch (error) { failed(error); }
}
