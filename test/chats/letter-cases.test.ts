import { expect, test } from "vitest";
import { finderOf } from "../../src/chats/finder.ts";
import { allCases } from "../../src/chats/letter-cases.ts";

const letters = Array.from({ length: 0x110000 }, (_, point) => point)
  .filter((point) => point < 0xd800 || point > 0xdfff)
  .map((point) => String.fromCodePoint(point))
  .filter((character) => /\p{Changes_When_Casemapped}/u.test(character));

test("all cases of a letter are those that a regular expression takes for the same, and for the i those of Turkish", () => {
  expect(letters.length).toBeGreaterThan(2_500);
  const all = letters.join("");
  for (const letter of letters) {
    const expected = /[iıİ]/iu.test(letter) ? ["I", "i", "İ", "ı"] : all.match(new RegExp(letter, "giu"));
    expect(allCases(letter)).toEqual(expected);
  }
});

test("a letter finds each of its cases, and they it", () => {
  for (const letter of letters) {
    const cases = allCases(letter);
    for (const other of cases) {
      expect(allCases(other)).toEqual(cases);
      expect(finderOf(`a${letter}b`)(`.A${other}B.`)).toEqual({ start: 1, end: 3 + letter.length });
    }
  }
});

test("a finder gives the first place, and looks at no character of a text twice", () => {
  const texts = [`${"a".repeat(253)}c`.repeat(50), "ab".repeat(5_000), "aab".repeat(4_000), "🌊".repeat(3_000)];
  const queries = ["a".repeat(254), "c", `${"ab".repeat(100)}b`, `${"aab".repeat(80)}aaa`, "🌊🌊🌋", "BAAB", "🌊"];
  for (const text of texts.flatMap((text) => [text, ...queries.map((query) => text + query)])) {
    for (const query of queries) {
      let looks = 0;
      const watched = {
        length: text.length,
        codePointAt: (index: number) => {
          looks++;
          return text.codePointAt(index);
        },
      };
      const start = text.toLowerCase().indexOf(query.toLowerCase());
      expect(finderOf(query)(watched as string)).toEqual(
        start === -1 ? undefined : { start, end: start + query.length },
      );
      expect(looks).toBeLessThanOrEqual(text.length);
    }
  }
});
