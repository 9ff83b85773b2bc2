// Files that are dropped on the page become the film, sound or picture to work on; on the player, its music.
const find = (name) => document.querySelector(`#${name}`);
const FIELDS = { video: "foley-file", audio: "animate-file", image: "picture" };
const SAID = { video: "gets a new sound", audio: "gets a picture", image: "becomes the first picture" };

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function put(name, file) {
  const files = new DataTransfer();
  files.items.add(file);
  find(name).files = files.files;
}

export function start({ onTaken, onError }) {
  const end = () => { find("drop").hidden = true; };
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    find("drop").hidden = false;
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) end(); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    end();
    const file = event.dataTransfer.files[0];
    const kind = file?.type.split("/")[0];
    if (!FIELDS[kind]) return onError(new Error("This is neither a film nor a sound nor a picture."));
    if (kind === "audio" && find("player").contains(event.target)) {
      put("music", file);
      find("soundtrack-box").open = true;
      return onTaken(`${file.name} is the music of the next sound track.`);
    }
    if (kind !== "image") for (const name of ["foley-file", "animate-file"]) find(name).value = "";
    put(FIELDS[kind], file);
    return onTaken(`${file.name} ${SAID[kind]}: press Make the film.`);
  });
}
