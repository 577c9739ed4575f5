/** Names for containers that were given none: an adjective and the name of somebody who found something out. */

const adjectives = (
  "able alert ample apt avid awake bold brave breezy bright brisk calm candid careful cheery civil clear clever " +
  "cosy crisp curious daring dapper deft eager earnest easy exact fair fine firm fleet fluent fond frank free " +
  "fresh gentle glad golden good grand handy happy hardy hearty honest humble ideal jolly just keen kind lively " +
  "loyal lucid lucky mellow merry mild modest neat nimble noble open patient peppy plucky polite prime proud " +
  "quick quiet ready regal robust rosy sage serene sharp silent simple sleek smart smooth snug solid sound " +
  "spry steady stoic sturdy sunny swift tidy tireless true trusty upbeat valiant vivid warm wise witty zesty"
).split(" ");

const surnames = (
  "abel agnesi ampere anning apgar archimedes avicenna babbage banneker banting bardeen bell bernoulli bessel " +
  "blackwell bohr boole bose boyle brahe burnell cannon cantor carson carver cerf chandrasekhar chatelet clarke " +
  "coulomb cray curie dalton darwin daubechies dirac ehrlich einstein elion engelbart euclid euler faraday fermat " +
  "fermi feynman fleming franklin galileo galois gauss germain goodall hamilton hawking heisenberg hertz hopper " +
  "hubble huygens hypatia jemison johnson joliot kelvin kepler khayyam kilby knuth kowalevski lamarr laplace " +
  "leavitt leibniz lister lovelace mayer maxwell mcclintock meitner mendel mirzakhani morse napier newton nobel " +
  "noether ohm pascal pasteur pauling planck poincare ptolemy raman ramanujan ride ritchie rubin sagan shannon " +
  "snell somerville stevin tesla thompson torvalds turing vaughan volta wiles wilson wing wright wu yalow yonath"
).split(" ");

/** Picks from 0 to below a bound. */
export type RandomBelow = (bound: number) => number;

/** `adjective_surname`, with a digit from the second try on, since then the plain one was taken. */
export function generateName(attempt: number, randomBelow: RandomBelow): string {
  const name = `${pick(adjectives, randomBelow)}_${pick(surnames, randomBelow)}`;
  return attempt === 0 ? name : `${name}${String(randomBelow(10))}`;
}

function pick(words: readonly string[], randomBelow: RandomBelow): string {
  return words[randomBelow(words.length)] ?? "";
}
