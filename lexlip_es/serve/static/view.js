// What is shown, made of the server's answers. All of it comes from files and an index: it becomes text, never markup.

import { boostOf, isBannable, isBanned } from "/static/query_text.js";

const FEW_TERMS = 4; // of a word; the others show when they are asked for

/** An element with properties and children; a child that is a string becomes text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** One picture of the grid, to be opened. */
export function tile(hit, isFirst) {
  const below = make("span", { className: "below" }, make("bdi", { title: hit.path }, hit.path), scored(hit.score));
  return make("li", {}, make("button", { type: "button", className: "hit", tabIndex: isFirst ? 0 : -1 }, picture(hit), below));
}

/**
 * What each word of the query asks for. A word that can be boosted is a button with `data-word`, a term that can be banned one
 * with `data-term`; one with `data-more` shows a word's other terms.
 */
export function words(reasons, query) {
  return reasons.map(({ word, terms }) => {
    const chips = terms.map((term) => termChip(term, query));
    const extra = chips.slice(FEW_TERMS).filter((chip) => chip.ariaPressed !== "true");
    for (const chip of extra) chip.classList.add("extra");
    const item = make("li", {}, wordChip(word, query), ...chips);
    if (extra.length) item.append(moreChip(word, extra.length));
    return item;
  });
}

function moreChip(word, count) {
  const chip = make("button", { type: "button", className: "more", ariaLabel: `${count} more terms of ${word}` }, `+${count}`);
  chip.dataset.more = "terms";
  return chip;
}

function wordChip(word, query) {
  const boost = boostOf(query, word);
  if (boost === undefined) return make("bdi", { className: "word" }, word);
  const title = boost === 1 ? `Let ${word} count twice` : `${word} counts ${boost} times: change`;
  const chip = make("button", { type: "button", className: "word", title, ariaPressed: boost !== 1 }, make("bdi", {}, word));
  if (boost !== 1) chip.append(` ×${boost}`);
  chip.dataset.word = word;
  return chip;
}

function termChip({ term, pieces, contribution: weight }, query) {
  const said = [make("bdi", {}, term), " ", make("small", {}, weight.toFixed(1))];
  if (pieces[0].startsWith("##") || !isBannable(term)) return make("span", { className: "chip" }, ...said);
  const banned = isBanned(query, term);
  const title = banned ? `Let pictures with ${term} in again` : `Leave out pictures with ${term}`;
  const chip = make("button", { type: "button", className: "chip", title, ariaPressed: banned }, ...said);
  chip.dataset.term = term;
  return chip;
}

/** A hit closely: its picture, what is known of it, and what each word gave to its score. */
export function details(hit) {
  const heaviest = Math.max(...hit.reasons.map((reason) => reason.contribution), 0);
  const facts = [
    ["Score", hit.score.toFixed(2)],
    ["Caption", hit.caption],
    ["Taken", hit.taken_at?.replace("T", " ").slice(0, 16)],
    ["Camera", hit.camera],
    ["Size", hit.width && `${hit.width} × ${hit.height} pixels`],
    ["Tags", [hit.tags ?? []].flat().join(", ")],
    ["Collection", hit.collection],
    ["Duplicates", hit.duplicates && `${hit.duplicates} more like it, not shown`],
  ];
  const known = facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)]);
  const why = hit.reasons.length
    ? [make("h3", {}, "Why it is here"), make("ul", {}, ...hit.reasons.map((reason) => reasonItem(reason, heaviest)))]
    : [make("p", {}, "It matches the filters; no word gave it a score.")];
  return [
    make(
      "div",
      { className: "top" },
      make("h2", { id: "details-title" }, make("bdi", {}, hit.path)),
      make("button", { type: "button", id: "close", ariaLabel: "Close" }, "✕"),
    ),
    make(
      "div",
      { className: "columns" },
      picture(hit),
      make("div", {}, make("dl", {}, ...known), ...why, make("button", { type: "button", id: "like", className: "first" }, "More like this")),
    ),
  ];
}

function reasonItem({ word, contribution, terms }, heaviest) {
  const filled = make("div");
  filled.style.width = `${heaviest > 0 ? Math.max(0, (100 * contribution) / heaviest) : 0}%`;
  const head = make("p", {}, make("bdi", {}, word), make("span", {}, contribution.toFixed(2)));
  const brought = terms.map((term) => `${term.term} ${term.contribution.toFixed(2)}`).join(", ");
  return make(
    "li",
    { className: "reason" },
    head,
    make("div", { className: "bar" }, filled),
    make("bdi", { className: "brought" }, brought),
  );
}

/** A hit's thumbnail, or its file name where there is none. */
function picture(hit) {
  const placeholder = () => make("span", { className: "no-picture" }, make("bdi", {}, hit.path.split("/").pop()));
  if (!hit.thumbnail) return placeholder();
  const alt = hit.caption || hit.path;
  const image = make("img", { alt, loading: "lazy", decoding: "async", draggable: false, src: hit.thumbnail });
  image.addEventListener("error", () => image.replaceWith(placeholder()));
  return image;
}

const scored = (score) => make("span", { className: "score" }, score.toFixed(2));

/** What to do where no picture is shown: a heading, sentences, and queries to try. */
export function message(title, sentences, queries = []) {
  const tries = queries.map((query) => {
    const link = make("a", { href: `/?${new URLSearchParams({ q: query })}` }, query);
    return make("li", {}, link);
  });
  return [make("h2", {}, title), ...sentences.map((sentence) => make("p", {}, sentence)), make("ul", {}, ...tries)];
}

/** An error as a sentence, with the way in where the server asks for one. */
export function failure(sentence, needsLogin) {
  const said = make("p", {}, sentence);
  if (needsLogin) said.append(" ", make("a", { href: "/login" }, "Log in"));
  return make("div", { className: "error", role: "alert" }, said);
}
