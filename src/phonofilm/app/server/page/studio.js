// The studio: a prompt, the films, and one of them in the player.
import { logIn, post, send, session } from "./api.js";
import * as drop from "./drop.js";
import * as gallery from "./gallery.js";
import * as live from "./live.js";
import * as player from "./player.js";
import * as tabs from "./tabs.js";

const find = (name) => document.querySelector(`#${name}`);
const EXAMPLES = [
  "A red rubber ball falls and bounces in a small room.",
  "A mallet strikes three bars of a xylophone.",
  "A car passes from left to right in the rain.",
  "A woman says \"hello there\", and a man answers \"good morning\".",
];
const KNOWN = /\b(balls?|box|boxes|bounc\w*|falls?|fall\w*|mallet|xylophone|bars?|strik\w*|cars?|truck|train|passes|pass\w*|rain\w*|thunder\w*|explo\w*|blast|rocket|drops?|says?|said|speaks?|talk\w*|woman|man|face)\b/i;

function fail(error) {
  find("error").textContent = error.message;
  find("error").hidden = false;
}

function fine() { find("error").hidden = true; }

function hint() {
  const text = find("prompt").value.trim();
  let said = "";
  if (!text) said = "Say what is seen and what is heard.";
  else if (find("model").value === "nano" && !KNOWN.test(text))
    said = "The small model knows balls and boxes that fall, xylophones, passing vehicles, rain, blasts and people who talk.";
  else if (/["“][^"”]+["”]/.test(text)) said = "The words in quotes are spoken.";
  find("hint").textContent = said;
}

const waiting = new Set();

function made(film) {
  fine();
  waiting.add(film.id);
  gallery.show(film);
  find("state").textContent = "Accepted.";
}

async function make(event) {
  event.preventDefault();
  const values = { prompt: find("prompt").value, seed: Number(find("seed").value) || 0, model: find("model").value };
  if (find("seconds").value) values.seconds = find("seconds").value;
  if (find("size").value) values.size = find("size").value;
  if (find("draft").checked) values.draft = true;
  find("go").disabled = true;
  try {
    const [foley, sound, picture] = ["foley-file", "animate-file", "picture"].map((name) => find(name).files[0]);
    const { seconds: _, ...rest } = values;
    if (foley) { delete rest.size; made(await send("/v1/videos/foley", rest, { video: foley })); }
    else if (sound) made(await send("/v1/videos/animate", rest, { audio: sound, input_reference: picture }));
    else if (picture) made(await send("/v1/videos", values, { input_reference: picture }));
    else made(await post("/v1/videos", values));
    for (const name of ["foley-file", "animate-file", "picture"]) find(name).value = "";
  } catch (error) { fail(error); }
  find("go").disabled = false;
}

function shots() {
  return find("story").value.split("\n").filter((line) => line.trim()).map((line) => {
    const [, dissolves, seconds, prompt] = line.match(/^\s*(~?)\s*(?:(\d+(?:\.\d+)?)\s)?\s*(.*)$/);
    if (!seconds) throw new Error(`A shot begins with its seconds, as in “2 ${prompt}”.`);
    return { prompt, seconds: Number(seconds), ...(dissolves && { join: "dissolve" }) };
  });
}

async function tell() {
  const values = { seed: Number(find("seed").value) || 0, model: find("model").value };
  if (find("size").value) values.size = find("size").value;
  if (find("draft").checked) values.draft = true;
  if (find("story-music").value.trim()) values.music = { prompt: find("story-music").value };
  find("story-go").disabled = true;
  try { made(await post("/v1/videos/story", { ...values, shots: shots() })); } catch (error) { fail(error); }
  find("story-go").disabled = false;
}

async function enter(found) {
  find("login").hidden = true;
  find("make").hidden = false;
  const options = (found.models ?? []).map((name) => Object.assign(document.createElement("option"), { value: name, textContent: name }));
  tabs.addReports(found.reports ?? []);
  live.enter(found.models ?? [], found.live);
  if (options.length) find("model").replaceChildren(...options);
  await gallery.load();
  hint();
}

async function begin() {
  find("examples").replaceChildren(...EXAMPLES.map((text) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.addEventListener("click", () => { find("prompt").value = text; hint(); find("prompt").focus(); });
    return button;
  }));
  find("form").addEventListener("submit", make);
  find("story-go").addEventListener("click", tell);
  for (const name of ["prompt", "model"]) find(name).addEventListener("input", hint);
  find("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("form").requestSubmit();
  });
  gallery.start({ onOpen: (film) => { fine(); player.open(film).catch(fail); }, onError: fail });
  tabs.start();
  live.start();
  drop.start({ onTaken: (text) => { fine(); find("state").textContent = text; }, onError: fail });
  player.start({ onMade: made, onError: fail });
  document.addEventListener("film", ({ detail: film }) => {
    if (!waiting.has(film.id)) return;
    if (film.status === "completed") {
      waiting.delete(film.id);
      find("state").textContent = "The film is ready.";
      player.open(film).catch(fail);
    } else if (film.status === "failed") {
      waiting.delete(film.id);
      find("state").textContent = film.error.code === "cancelled" ? "Cancelled." : "";
      if (film.error.code !== "cancelled") fail(new Error(`The film was not made: ${film.error.message}`));
    } else find("state").textContent = film.status === "queued" ? "Waiting." : `${film.progress} %`;
  });
  const found = await session();
  if (!found.known) {
    find("login").hidden = false;
    find("make").hidden = true;
    find("login-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try { fine(); await logIn(find("key").value.trim()); await enter(await session()); } catch (error) { fail(error); find("make").hidden = false; }
    });
    return;
  }
  await enter(found);
}

begin().catch(fail);
