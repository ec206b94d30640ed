// Keyboard and menu of the table: arrows move, Enter runs the primary action, Escape closes.

const Keys = {
  active() {
    return this.root.getRootNode().activeElement;
  },

  /** Make an entry the current one, which is the only tab stop. */
  stand(entry) {
    if (this.current === entry) {
      return;
    }
    this.current?.row.reachable(false);
    this.current = entry ?? null;
    this.current?.row.reachable(true);
  },

  focused(event) {
    const entry = event.target.closest(".cw-entry");
    if (entry) {
      this.stand(entry);
      entry.row.drawTitles();
    }
  },

  neighbour(entry, step) {
    let found = entry;
    do {
      found =
        step > 0 ? found.nextElementSibling : found.previousElementSibling;
    } while (found && (found.hidden || found.inert));
    return found;
  },

  go(entry) {
    if (entry) {
      this.stand(entry);
      entry.row.node.focus({ preventScroll: true });
      entry.row.node.scrollIntoView({ block: "nearest" });
    }
  },

  /** Return the entry several rows away, or the last one. */
  far(entry, step) {
    let found = entry;
    for (let count = 0; count < Math.abs(step); count++) {
      found = this.neighbour(found, step) ?? found;
    }
    return found;
  },

  keyed(event) {
    const entry = event.target.closest(".cw-entry");
    if (!entry || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.key === "Escape" && entry.unfolded) {
      this.fold(entry);
      entry.row.node.focus({ preventScroll: true });
    } else if (
      event.key === "ContextMenu" ||
      (event.shiftKey && event.key === "F10")
    ) {
      this.openMenu(entry);
    } else if (
      entry.unfolded?.contains(event.target) ||
      !this.move(entry, event)
    ) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  },

  /** Handle a key on a row; return whether it had a meaning. */
  move(entry, { key, target }) {
    const { row } = entry;
    const stops = [row.node, ...row.actions.children, row.putAway].filter(
      (node) => !node.disabled && !node.hidden && node.offsetParent,
    );
    const at = stops.indexOf(target);
    const moves = {
      ArrowDown: () => this.go(this.neighbour(entry, 1)),
      ArrowUp: () => this.go(this.neighbour(entry, -1)),
      PageDown: () => this.go(this.far(entry, 10)),
      PageUp: () => this.go(this.far(entry, -10)),
      Home: () => this.go(this.far(entry, -this.entries.size)),
      End: () => this.go(this.far(entry, this.entries.size)),
      ArrowRight: () => stops[Math.min(at + 1, stops.length - 1)]?.focus(),
      ArrowLeft: () => stops[Math.max(at - 1, 0)]?.focus(),
    };
    if (target === row.node) {
      moves.Enter = () =>
        row.data.primary &&
        !row.data.busy &&
        this.act(entry, row.data.primary.id);
      moves[" "] = () => this.toggleDetails(entry);
      moves.Delete = () =>
        row.data.menu.some(({ id }) => id === "delete") &&
        this.askDelete(entry);
    }
    moves[key]?.();
    return key in moves;
  },

  /** Keep plain keys from the notebook while the table has the focus (“d d” deletes a cell). */
  shareKeys(event) {
    const { target } = event;
    if (target instanceof Element && this.root.contains(target)) {
      target.toggleAttribute(
        "data-lm-suppress-shortcuts",
        !(event.ctrlKey || event.metaKey || event.altKey),
      );
    }
  },

  contextMenu(event) {
    const entry = event.target.closest(".cw-entry");
    if (entry && !entry.unfolded?.contains(event.target)) {
      event.preventDefault();
      event.stopPropagation();
      this.openMenu(entry, { x: event.clientX, y: event.clientY });
    }
  },

  openMenu(entry, at = null) {
    this.closeMenu(false);
    this.stand(entry);
    this.menuOf = entry;
    const { data } = entry.row;
    const links = data.links.slice(1).map((target, index) => ({
      id: `link:${index + 1}`,
      label: `Open ${target.label}`,
    }));
    // Narrow rows have room for one button: the other is in the menu.
    const { secondary } = data;
    const away =
      secondary &&
      !data.busy &&
      !entry.row.buttons.get(secondary.id)?.offsetParent;
    const items = [...links, ...(away ? [secondary] : []), ...data.menu].map(
      ({ id, label }) => {
        const shown =
          id === "details" && entry.details ? "Close the details" : label;
        return make(
          "button",
          `cw-item${id === "delete" ? " cw-danger" : ""}`,
          { role: "menuitem", type: "button", tabindex: -1, "data-id": id },
          shown,
        );
      },
    );
    this.menu.replaceChildren(...items);
    this.menu.setAttribute("aria-label", `Actions of ${data.title}`);
    const dots = entry.row.buttons.get("menu");
    dots.setAttribute("aria-expanded", "true");
    this.menu.showPopover
      ? this.menu.showPopover()
      : this.menu.classList.add("cw-shown");
    const anchor = dots.getBoundingClientRect();
    const { width, height } = this.menu.getBoundingClientRect();
    const left = at ? at.x : anchor.right - width;
    const below = at ? at.y : anchor.bottom + 2;
    const top =
      below + height > innerHeight
        ? (at ? at.y : anchor.top - 2) - height
        : below;
    Object.assign(this.menu.style, {
      left: `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`,
      top: `${Math.max(4, top)}px`,
    });
    this.menuAt = anchor;
    items[0]?.focus({ preventScroll: true });
  },

  /** Return whether the row has scrolled away from its open menu. */
  menuMoved() {
    const dots = this.menuOf?.row.buttons.get("menu");
    return (
      Boolean(dots) &&
      Math.abs(dots.getBoundingClientRect().top - this.menuAt.top) > 4
    );
  },

  closeMenu(focus = true) {
    const entry = this.menuOf;
    if (!entry) {
      return;
    }
    this.menuOf = null;
    const hadFocus = this.menu.contains(this.active());
    this.menu.hidePopover
      ? this.menu.hidePopover()
      : this.menu.classList.remove("cw-shown");
    const dots = entry.row.buttons.get("menu");
    dots?.setAttribute("aria-expanded", "false");
    if (focus || hadFocus) {
      (dots?.isConnected ? dots : entry.row.node).focus({
        preventScroll: true,
      });
    }
  },

  menuKeyed(event) {
    const items = [...this.menu.children];
    const at = items.indexOf(event.target);
    const moves = {
      ArrowDown: () => items[(at + 1) % items.length].focus(),
      ArrowUp: () => items[(at - 1 + items.length) % items.length].focus(),
      Home: () => items[0].focus(),
      End: () => items.at(-1).focus(),
      Escape: () => this.closeMenu(),
      Tab: () => this.closeMenu(),
    };
    const letter =
      event.key.length === 1 &&
      items.find((item) =>
        item.textContent.toLowerCase().startsWith(event.key.toLowerCase()),
      );
    if (moves[event.key] || (letter && event.key !== " ")) {
      event.preventDefault();
      event.stopPropagation();
      moves[event.key] ? moves[event.key]() : letter.focus();
    }
  },

  menuClicked(event) {
    const id = event.target.closest("[data-id]")?.dataset.id;
    const entry = this.menuOf;
    if (!id || !entry) {
      return;
    }
    this.closeMenu();
    if (id.startsWith("link:")) {
      const href = address(
        entry.row.data.links[Number(id.slice(5))].path,
        this.where,
      );
      if (href) {
        window.open(href, "_blank", "noopener,noreferrer");
      }
    } else {
      this.act(entry, id);
    }
  },
};
