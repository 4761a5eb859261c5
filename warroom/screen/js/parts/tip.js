// One tooltip for the whole page: it appears on hover and on keyboard focus, stays within the window, and goes with Escape.

const GAP = 8;

function show(tip, target) {
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const [at, own] = [target.getBoundingClientRect(), tip.getBoundingClientRect()];
  const left = Math.min(Math.max(GAP, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - GAP);
  const above = at.top - own.height - GAP;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > GAP ? above : Math.min(at.bottom + GAP, innerHeight - own.height - GAP)}px`;
}

/** Starts it. */
export function startTips() {
  const tip = document.getElementById("tip");
  const over = (event) => {
    const target = event.target.closest?.("[data-tip]");
    if (target?.dataset.tip) show(tip, target);
    else tip.hidden = true;
  };
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", over);
  document.addEventListener("focusout", () => {
    tip.hidden = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
  });
  document.addEventListener(
    "scroll",
    () => {
      tip.hidden = true;
    },
    true,
  );
}
