// Cards of workspace kinds; selecting one opens the form, selecting it again closes it.

function drawCard({ name, title, description, note, picture, denied }, chosen) {
  const card = document.createElement("button");
  card.type = "button";
  card.className = "cw-card";
  card.disabled = denied;
  card.dataset.kind = name;
  card.dataset.lmSuppressShortcuts = "true"; // Enter activates the card, not the cell
  card.setAttribute("aria-expanded", String(name === chosen));
  const logo = document.createElement(picture ? "img" : "span");
  logo.className = "cw-logo";
  if (picture) {
    Object.assign(logo, { src: picture, alt: "", draggable: false });
  } else {
    logo.textContent = title.slice(0, 1).toUpperCase();
    logo.setAttribute("aria-hidden", "true");
  }
  const text = document.createElement("span");
  text.className = "cw-cardText";
  for (const [className, said] of [
    ["cw-cardTitle", title],
    ["cw-cardAbout", description],
    ["cw-cardNote", note],
  ]) {
    if (said) {
      const line = document.createElement("span");
      line.className = className;
      line.textContent = said;
      text.append(line);
    }
  }
  card.title = [title, description, note].filter(Boolean).join("\n");
  card.append(logo, text);
  return card;
}

export default {
  render({ model, el }) {
    const root = document.createElement("section");
    root.className = "jp-ClusterWorkspacesKinds";
    root.setAttribute("aria-label", "New workspace");
    // Screen readers only announce changes of regions that already exist.
    const status = document.createElement("div");
    status.className = "cw-hidden";
    status.setAttribute("role", "status");
    status.setAttribute("aria-live", "polite");
    const shown = document.createElement("div");
    root.append(shown, status);
    el.append(root);
    const close = () => {
      const chosen = model.get("chosen");
      model.set("chosen", "");
      model.save_changes();
      [...shown.querySelectorAll(".cw-card")]
        .find((card) => card.dataset.kind === chosen)
        ?.focus();
    };
    const keys = new FormKeys(root, (message) => model.send(message), close);
    const receive = ({ type, text, place }) => {
      if (type === "say") {
        status.textContent = text;
      } else if (type === "focus") {
        keys.focus(place);
      }
    };
    const draw = () => {
      const focused = root.contains(document.activeElement)
        ? document.activeElement.dataset.kind
        : null;
      const title = document.createElement("h4");
      title.textContent = model.get("kinds").length ? "New workspace" : "";
      const cards = document.createElement("div");
      cards.className = "cw-cards";
      cards.append(
        ...model
          .get("kinds")
          .map((kind) => drawCard(kind, model.get("chosen"))),
      );
      shown.replaceChildren(title, cards);
      requestAnimationFrame(() => keys.attach());
      if (focused) {
        [...cards.children]
          .find((card) => card.dataset.kind === focused)
          ?.focus();
      }
    };
    const choose = (event) => {
      const name = event.target.closest(".cw-card")?.dataset.kind;
      if (name) {
        model.set("chosen", model.get("chosen") === name ? "" : name);
        model.save_changes();
      }
    };
    root.addEventListener("click", choose);
    model.on("change:kinds", draw);
    model.on("change:chosen", draw);
    model.on("msg:custom", receive);
    draw();
    return () => {
      keys.dispose();
      model.off("msg:custom", receive);
      model.off("change:kinds", draw);
      model.off("change:chosen", draw);
    };
  },
};
