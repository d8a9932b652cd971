// The query language as the page writes it: pure functions from a query's text to a new one (lexlip_es/query_language.py reads it).

const TOKEN = /[+-]?(?:[a-z]+:)?"[^"]+"\S*|\S+/g;
const PLAIN_WORD = /^(?![+-])([^"^]+?)(?:\^(\d+(?:\.\d+)?))?([,;.!?)]{0,3})$/;
const BANNABLE = /^[\p{L}\p{N}_][^\s":^]*$/u;
const NEXT_BOOST = { 1: 2, 2: 3 }; // a click more, and the word is as it was

const tokens = (query) => query.match(TOKEN) ?? [];

/** By how much a word of the query is boosted, 1 if not at all; undefined where it is no plain word of the text. */
export function boostOf(query, word) {
  const found = tokens(query).map(read).find((token) => token?.word === word);
  return found && found.factor;
}

/** The query with the word's boost one step further: none, ^2, ^3, none. */
export function withBoost(query, word) {
  const boosted = (token) => {
    const { word: said, factor, text, end } = read(token) ?? {};
    if (said !== word) return token;
    return NEXT_BOOST[factor] ? `${text}^${NEXT_BOOST[factor]}${end}` : text + end;
  };
  return tokens(query).map(boosted).join(" ");
}

/** Whether the language can say that pictures with this term are left out. */
export const isBannable = (term) => BANNABLE.test(term);

export const isBanned = (query, term) => tokens(query).includes(`-${term}`);

/** The query with the term banned, or no longer banned. */
export function withBan(query, term) {
  const others = tokens(query).filter((token) => token !== `-${term}`);
  return (isBanned(query, term) ? others : [...others, `-${term}`]).join(" ");
}

/** The value of the query's first filter of this name, or "". */
export function filterOf(query, name) {
  const found = tokens(query).find((token) => token.startsWith(`${name}:`)) ?? "";
  return found.slice(name.length + 1).replaceAll('"', "");
}

/** The query with its first filter of this name set to a value, or without it where the value is empty. */
export function withFilter(query, name, value) {
  const clean = value.replaceAll('"', "").trim();
  if (clean === filterOf(query, name)) return query;
  const said = tokens(query);
  const at = said.findIndex((token) => token.startsWith(`${name}:`));
  const filter = clean ? [`${name}:${/\s/.test(clean) ? `"${clean}"` : clean}`] : [];
  said.splice(at < 0 ? said.length : at, 1, ...filter);
  return said.join(" ");
}

/** The query for pictures like a hit: by its path, or by its id where the language cannot say the path. */
export const likeHit = (hit) => `like:"${/["\n\r]/.test(hit.path) ? hit.id : hit.path}"`;

/** A plain word, its boost, and its text and the punctuation after it; undefined for any other token. */
function read(token) {
  const [, text, factor = 1, end] = token.match(PLAIN_WORD) ?? [];
  if (text === undefined) return undefined;
  return { word: text.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, "") || text, factor: Number(factor), text, end };
}
