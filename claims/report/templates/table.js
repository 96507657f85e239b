// Search and filters of the table of claims. What is chosen stands in the address, so that a
// filtered view can be linked. Without this script the page shows all claims.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const rows = Array.from(document.querySelectorAll("#claims tbody tr"), (row) => ({
    row, text: `${row.textContent} ${row.id}`.toLowerCase(), data: row.dataset,
  }));

  function apply() {
    const words = form.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Array.from(form.querySelectorAll("select")).filter((select) => select.value);
    let count = 0;
    for (const { row, text, data } of rows) {
      const fits = words.every((word) => text.includes(word))
        && wanted.every((select) => (select.name === "document"
          ? text.includes(`${select.value}:`) : data[select.name] === select.value));
      if (row.hidden === fits) row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? `${count} claims`
      : `${count} of ${rows.length} claims`;
  }

  function remember() {
    const chosen = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) chosen.set(name, value);
    history.replaceState(null, "", `${location.pathname}${chosen.size ? `?${chosen}` : ""}`);
    apply();
  }

  for (const [name, value] of new URLSearchParams(location.search)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  form.hidden = false;
  form.addEventListener("input", remember);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(remember));
  apply();
})();
