// Evaluated in the page: which texts lie upon each other, stick out or are cut off; by how much the page is larger than its window;
// which texts are bare keys of the dictionaries, or smaller than the wall allows.
() => {
  const INK = 0.22; // a line box is higher than what is written in it, by this part of the font size on both sides
  const CUTTING = [
    ".wall .panel-body",
    ".wall .tile",
    ".wall .wall-head",
    ".wall .table-frame",
    ".wall .chips",
    ".wall .tile-note",
    ".wall .strip",
  ];

  // A figure is a text that is nothing but a number; what it counts is said on hover, over which window or at which instant.
  const FIGURE = /^[▲▼●]?\s*[+-]?[¥$€£]?\s?\d[\d,.]*\s?(%|万|亿|K|M|B|x)?$/;
  const WINDOW = /统计区间：|截至|时间：|Window: |As of |Time/;
  const NO_FIGURES = "time, button, select, nav, dt, td.name, [aria-current]";
  const isFigure = ({ element, text }) => FIGURE.test(text) && !element.closest(NO_FIGURES);

  const shown = (element) => {
    const style = getComputedStyle(element);
    return style.visibility !== "hidden" && style.display !== "none" && !element.closest(".unseen, .skip, [hidden], select");
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());

  // What a frame around it cuts off is not seen.
  const seen = (element, rectangle) => {
    let found = rectangle;
    for (let frame = element.parentElement; frame; frame = frame.parentElement) {
      const style = getComputedStyle(frame);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const around = frame.getBoundingClientRect();
      const [left, top] = [Math.max(found.left, around.left), Math.max(found.top, around.top)];
      const [right, bottom] = [Math.min(found.right, around.right), Math.min(found.bottom, around.bottom)];
      found = new DOMRect(left, top, Math.max(0, right - left), Math.max(0, bottom - top)); // a negative size would turn it round
    }
    return found;
  };

  const written = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const size = parseFloat(getComputedStyle(element).fontSize);
    return [...range.getClientRects()].map((line) => {
      const box = seen(element, line);
      const ink = new DOMRect(box.left, box.top + size * INK, box.width, box.height - 2 * size * INK);
      return { element, size, ink, text: element.textContent.trim().slice(0, 40) };
    });
  };

  const apart = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) < 2 || Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) < 2;

  const texts = [...document.querySelectorAll("#app *")]
    .filter((element) => !element.closest("svg") && shown(element) && hasText(element))
    .flatMap(written)
    .filter(({ ink }) => ink.width > 1 && ink.height > 1);
  const overlaps = [];
  texts.forEach((a, i) =>
    texts.slice(i + 1).forEach((b) => {
      if (!a.element.contains(b.element) && !b.element.contains(a.element) && !apart(a.ink, b.ink)) overlaps.push(`${a.text} / ${b.text}`);
    }),
  );
  const panels = [...document.querySelectorAll(".panel, .tile")].map((element) => [element, element.getBoundingClientRect()]);
  panels.forEach(([a, one], i) =>
    panels.slice(i + 1).forEach(([b, other]) => {
      if (!a.contains(b) && !apart(one, other)) overlaps.push(`panel ${a.textContent.slice(0, 20)} / ${b.textContent.slice(0, 20)}`);
    }),
  );

  const root = document.documentElement;
  const rem = parseFloat(getComputedStyle(root).fontSize);
  return {
    overlaps,
    outside: texts.filter(({ ink }) => ink.left < -1 || ink.right > innerWidth + 1).map(({ text }) => text),
    cut: [...document.querySelectorAll(CUTTING.join())]
      .filter((element) => element.scrollWidth > element.clientWidth + 2 || element.scrollHeight > element.clientHeight + 4)
      .map((element) => `${element.className}: ${element.textContent.slice(0, 60)}`),
    small: texts.filter(({ size }) => size < 1.125 * rem - 0.01).map(({ text }) => text),
    wide: root.scrollWidth - innerWidth,
    high: root.scrollHeight - innerHeight,
    bare: texts
      .filter(isFigure)
      .filter(({ element }) => !WINDOW.test(element.closest("[data-tip]")?.dataset.tip ?? ""))
      .map(({ text }) => text),
    keys: texts.filter(({ text }) => /^[a-z]+\.[a-z_]+$/.test(text)).map(({ text }) => text),
  };
}
