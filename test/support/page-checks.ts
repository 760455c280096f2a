import type { Page } from "playwright-core";

/**
 * What is looked at inside the browser, as text for `evaluate`: this project has no types of the DOM. Each is an
 * expression that gives a list of what is wrong, empty when all is well.
 */

/** Names, headings, ids and live regions. */
export const flaws = `(() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const check = (isRight, what) => { if (!isRight) wrong.push(what); };
  check(document.documentElement.lang === "en", "no language");
  check(document.title.trim() !== "", "no title");
  check(all("h1").length === 1, "not one h1");
  check(all("main").length === 1, "not one main");
  check(all('[role="status"][aria-live="polite"]').length >= 1, "no live region");
  const levels = all("h1, h2, h3").map((heading) => Number(heading.tagName[1]));
  check(levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1), "a level of headings is left out");
  for (const element of all("a, button, summary")) {
    const name = element.getAttribute("aria-label") ?? element.textContent;
    check(name.trim() !== "", "no name: " + element.outerHTML);
    const { height, width } = element.getBoundingClientRect();
    check(element.checkVisibility() === false || (height >= 24 && width >= 24), "too small: " + element.outerHTML);
  }
  for (const svg of all("svg")) {
    const label = svg.getAttribute("aria-label");
    check(svg.getAttribute("aria-hidden") === "true" || (svg.getAttribute("role") === "img" && label), "a picture without words");
  }
  const ids = all("[id]").map(({ id }) => id);
  check(new Set(ids).size === ids.length, "an id twice");
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    for (const element of all("[" + name + "]")) check(ids.includes(element.getAttribute(name)), "refers to nothing: " + element.outerHTML);
  }
  return wrong;
})()`;

/** Texts with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3), as they are really painted. */
export const faintTexts = `(() => {
  const numbers = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const [r, g, b] = numbers(color).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const wrong = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === "" || !element.checkVisibility()) continue;
    seen++;
    const { color } = getComputedStyle(element);
    const [light, dark] = [luminance(color), luminance(backgroundOf(element))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) wrong.push(contrast.toFixed(2) + ": " + walker.currentNode.data.trim());
  }
  return seen === 0 ? ["no text was seen"] : wrong;
})()`;

const FOCUSED = `(() => {
  const at = document.activeElement;
  if (at === null || at === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(at);
  const name = at.textContent.replace(/\\s+/g, " ").trim();
  return { name, outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth) };
})()`;

export type FocusStop = { readonly name: string; readonly outline: number };

/** Where the Tab key leads from the top, until it leaves the page; `outline` in pixels. */
export async function focusStops(page: Page): Promise<FocusStop[]> {
  const stops: FocusStop[] = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate<FocusStop | null>(FOCUSED);
    if (stop === null || stop.name === stops[0]?.name || stops.length > 50) return stops;
    stops.push(stop);
  }
}
