// The search page. The address says what is asked (?q=...&k=...&hybrid=true&cut_off=false, the parameters of /api/search), so that
// back and forward work; a picture that was given is kept here, and the entry of the history says which.

import { filterOf, likeHit, withBan, withBoost, withFilter } from "/static/query_text.js";
import { details, failure, make, message, tile, words } from "/static/view.js";

const FEW = 60;
const MANY = 300;
const SLOW_MS = 200;
const PREVIEW_SIDE = 144; // pixels

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const filters = page.filters.querySelector("form");
const pictures = []; // that were given as queries
let hits = [];
let opened = 0; // which hit the dialog shows
let running = new AbortController(); // the latest search
let about = null;

// What is asked

/** What the address and the history's entry say; with `cut_off`, weak hits are hidden. */
function asked() {
  const said = new URLSearchParams(location.search);
  return {
    q: said.get("q") ?? "",
    k: Number(said.get("k")) || FEW,
    hybrid: said.get("hybrid") === "true",
    cutOff: said.get("cut_off") !== "false",
    picture: pictures[history.state?.picture],
  };
}

/** Ask something else: a new entry of the history, and its answer. */
function ask(changes) {
  const { q, k, hybrid, cutOff, picture } = { ...asked(), k: FEW, cutOff: true, ...changes };
  const said = new URLSearchParams({
    ...(q && { q }),
    ...(k !== FEW && { k }),
    ...(hybrid && { hybrid }),
    ...(!cutOff && { cut_off: false }),
  });
  if (picture && !pictures.includes(picture)) pictures.push(picture);
  history.pushState(picture ? { picture: pictures.indexOf(picture) } : null, "", `/?${said}`);
  return show();
}

/** The server's answer; throws an `Error` with a sentence for people, and `status` where the server gave one. */
async function answer(path, request) {
  const response = await fetch(path, request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached: is lexlip-es serve still running?");
  });
  const said = await response.json().catch(() => ({}));
  if (response.ok) return said;
  throw Object.assign(new Error(said.error ?? `The server answered ${response.status}.`), { status: response.status });
}

/** Show what the address asks for. Of two searches the older is given up, so that its answer cannot follow the newer one's. */
async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const query = asked();
  page.details.close();
  showAsked(query);
  if (!query.q && !query.picture) return showStart();
  page.grid.ariaBusy = true;
  const slow = setTimeout(showSlow, SLOW_MS);
  try {
    const { picture, q, k, hybrid, cutOff } = query;
    const said = new URLSearchParams({ q, k, hybrid, cut_off: cutOff });
    const found = await answer(`/api/search?${said}`, { signal, ...(picture && posted(picture)) });
    if (!signal.aborted) showFound(query, found);
  } catch (error) {
    if (!signal.aborted) showNothing("", failure(error.message, error.status === 401));
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) showDone();
  }
}

/** A browser knows no type of a camera's raw file; the server looks at the bytes. */
const posted = (file) => ({
  method: "POST",
  body: file,
  headers: { "Content-Type": file.type.startsWith("image/") ? file.type : "image/unknown" },
});

// What is shown

function showAsked({ q, picture, hybrid }) {
  document.title = q ? `${q} – lexlip-es` : "lexlip-es";
  page.query.value = q;
  page.hybrid.checked = hybrid;
  for (const input of filters.querySelectorAll("input")) input.value = filterOf(q, input.name);
  page["by-picture"].hidden = !picture;
  page["preview-name"].textContent = picture?.name ?? "";
  if (picture) preview(picture);
}

/** Drawn, since the page's policy lets pictures in from the server alone. */
async function preview(file) {
  page.preview.hidden = true;
  const drawn = await createImageBitmap(file).catch(() => null); // the server reads formats that browsers don't
  if (!drawn) return;
  const scale = PREVIEW_SIDE / Math.max(drawn.width, drawn.height);
  Object.assign(page.preview, { hidden: false, width: drawn.width * scale, height: drawn.height * scale });
  page.preview.getContext("2d").drawImage(drawn, 0, 0, page.preview.width, page.preview.height);
}

function showSlow() {
  document.body.classList.add("slow");
  page.status.textContent = "Searching…";
}

function showDone() {
  document.body.classList.remove("slow");
  page.grid.ariaBusy = false;
}

function showFound(query, found) {
  hits = found.hits;
  page.message.replaceChildren();
  page.words.replaceChildren(...words(found.asked, query.q));
  page.notes.replaceChildren(...(found.notes ?? []).map((note) => make("li", {}, note)));
  page.grid.replaceChildren(...hits.map((hit, position) => tile(hit, position === 0)));
  page.status.textContent = summary(found);
  page.uncut.hidden = !found.cut;
  page.more.hidden = query.k >= MANY || hits.length + (found.cut ?? 0) < query.k;
  if (!hits.length) page.message.replaceChildren(...message("No picture found", nothingFound(found)));
}

function summary({ hits, total_ms: ms, folded, cut }) {
  const counted = `${hits.length || "No"} ${hits.length === 1 ? "picture" : "pictures"} in ${Math.round(ms)} ms`;
  return [counted, folded && `${folded} duplicates folded`, cut && `${cut} weak ones hidden`].filter(Boolean).join(", ");
}

const nothingFound = ({ cut }) => [
  cut
    ? "All that matched did so weakly and is hidden: show it, or say it in other words."
    : "Say it in other words, or take away what narrows it: +words, -words and filters.",
];

function showNothing(status, ...children) {
  hits = [];
  for (const list of [page.words, page.notes, page.grid]) list.replaceChildren();
  page.uncut.hidden = page.more.hidden = true;
  page.status.textContent = status;
  page.message.replaceChildren(...children);
}

function showStart() {
  showDone();
  showNothing("");
  if (!about) return;
  const title = `Search ${about.pictures.toLocaleString("en")} ${about.pictures === 1 ? "picture" : "pictures"} of ${about.index}`;
  const tries = ["a cat with green eyes", "a cup of coffee on a table", "stars in the night sky"];
  page.message.replaceChildren(...message(title, ["Say what can be seen, or drop a picture here to find others like it. For example:"], tries));
}

function open(position) {
  opened = position;
  page.details.replaceChildren(...details(hits[position]));
  if (page.details.open) page.details.querySelector("#close").focus(); // what had the focus is gone
  else page.details.showModal();
  page.details.scrollTop = 0;
}

// What people do

page.search.addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ q: page.query.value.trim() });
});
page.hybrid.addEventListener("change", () => ask({ hybrid: page.hybrid.checked }));
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  const set = [...filters.querySelectorAll("input")];
  ask({ q: set.reduce((query, input) => withFilter(query, input.name, input.value), page.query.value) });
});
page.words.addEventListener("click", async (event) => {
  const { word, term, more } = event.target.closest("button")?.dataset ?? {};
  if (more) return showAllTerms(event.target.closest("li"));
  if (word === undefined && term === undefined) return;
  const [change, said, selector] = word === undefined ? [withBan, term, "data-term"] : [withBoost, word, "data-word"];
  await ask({ q: change(asked().q, said) });
  page.words.querySelector(`[${selector}="${CSS.escape(said)}"]`)?.focus(); // the chip is a new one
});

function showAllTerms(item) {
  item.classList.add("all");
  item.querySelector("button.extra")?.focus();
}
page.uncut.addEventListener("click", () => ask({ ...asked(), cutOff: false }));
page.more.addEventListener("click", async () => {
  const shown = hits.length;
  await ask({ ...asked(), k: MANY });
  page.grid.querySelectorAll(".hit")[shown]?.focus();
});
page.grid.addEventListener("click", (event) => {
  const tiles = [...page.grid.querySelectorAll(".hit")];
  const position = tiles.indexOf(event.target.closest(".hit"));
  if (position >= 0) open(position);
});
page.details.addEventListener("click", (event) => {
  if (event.target.id === "close") page.details.close();
  if (event.target.id === "like") ask({ q: likeHit(hits[opened]), picture: undefined }).then(() => page.grid.querySelector(".hit")?.focus());
});
page.details.addEventListener("close", () => page.grid.querySelectorAll(".hit")[opened]?.focus());

// A picture as the query

function askByPicture(files) {
  if (files.length) ask({ q: "", picture: files[0] });
}
page.choose.addEventListener("click", () => page.file.click());
page.file.addEventListener("change", () => {
  askByPicture([...page.file.files]);
  page.file.value = ""; // so that the same file may be chosen again
});
page["drop-picture"].addEventListener("click", () => {
  ask({ picture: undefined });
  page.query.focus();
});
document.addEventListener("paste", (event) => askByPicture(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  askByPicture(event.dataTransfer.files);
});

// The keyboard

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (page.details.open) return turn(event);
  if (event.key === "/" && !event.target.matches("input")) {
    event.preventDefault();
    page.query.select();
    page.query.focus();
  } else if (event.target.matches(".hit")) move(event);
});

/** The next or the last hit in the dialog. */
function turn(event) {
  const next = opened + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0);
  if (next !== opened && hits[next]) open(next);
}

/** From hit to hit by arrows; only one of them is a stop of the tabulator key. */
function move(event) {
  const tiles = [...page.grid.querySelectorAll(".hit")];
  const at = tiles.indexOf(event.target);
  const rowTop = tiles[0].getBoundingClientRect().top;
  const columns = tiles.filter((tile) => tile.getBoundingClientRect().top === rowTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: tiles.length - 1 - at };
  const next = tiles[at + steps[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
page.grid.addEventListener("focusin", (event) => {
  for (const tile of page.grid.querySelectorAll(".hit")) tile.tabIndex = tile === event.target ? 0 : -1;
});

addEventListener("popstate", show);
answer("/api/about").then(
  (said) => {
    about = said;
    page.captions.hidden = !about.hybrid;
    if (!asked().q && !asked().picture) showStart();
  },
  (error) => showNothing("", failure(error.message, error.status === 401)),
);
show();
