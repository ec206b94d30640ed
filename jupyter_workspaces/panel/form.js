// What core widgets do not do in the form: Enter submits, Escape closes, and what is wrong with a field belongs to it.

const FORM = ".jp-ClusterWorkspacesForm";
let described = 0;

class FormKeys {
  /** `close` is called when the form is to close, `send` carries messages to the kernel. */
  constructor(root, send, close) {
    Object.assign(this, { root, send, close, form: null });
    this.stopping = new AbortController();
    this.observer = new MutationObserver(() => this.describe());
    // JupyterLab takes keys on the document in the capture phase; the window comes before it.
    window.addEventListener("keydown", (event) => this.shareKeys(event), {
      capture: true,
      signal: this.stopping.signal,
    });
  }

  /** Find the form beside the cards; it is a widget of its own, which may be drawn later. */
  attach() {
    const form = this.root
      .closest(".jp-ClusterWorkspacesPanel")
      ?.querySelector(FORM);
    if (!form || form === this.form) {
      return;
    }
    this.form = form;
    form.setAttribute("role", "form");
    form.setAttribute("aria-label", "New workspace");
    // In the capture phase: the core widgets keep keys to themselves.
    form.addEventListener("keydown", (event) => this.keyed(event), {
      capture: true,
      signal: this.stopping.signal,
    });
    this.observer.disconnect();
    this.observer.observe(form, {
      subtree: true,
      childList: true,
      attributes: true,
      attributeFilter: ["class"],
    });
    this.describe();
  }

  dispose() {
    this.stopping.abort();
    this.observer.disconnect();
  }

  /** Each control names the line below it as its description, and says when it is wrong. */
  describe() {
    for (const field of this.form.querySelectorAll(".cw-field")) {
      const control = field.querySelector("input, select");
      const below =
        field.querySelector(".widget-html-content") ??
        field.querySelector(".widget-html");
      if (!control || !below) {
        continue;
      }
      below.id ||= `cw-below-${++described}`;
      const attributes = {
        "aria-describedby": below.textContent.trim() ? below.id : null,
        "aria-invalid": field.classList.contains("cw-wrongField")
          ? "true"
          : null,
      };
      for (const [name, value] of Object.entries(attributes)) {
        if (value === null) {
          control.removeAttribute(name);
        } else if (control.getAttribute(name) !== value) {
          control.setAttribute(name, value);
        }
      }
    }
  }

  keyed(event) {
    const { target, key } = event;
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.shiftKey ||
      event.isComposing
    ) {
      return;
    }
    if (key === "Escape") {
      this.close();
    } else if (key === "Enter" && target.matches("input[type=text], select")) {
      this.send({ type: "submit", texts: this.texts() });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Texts as they stand in the page: a message about the last letters may still be under way. */
  texts() {
    const found = {};
    for (const input of this.form.querySelectorAll(
      ".cw-field input[type=text]",
    )) {
      const at = [...input.closest(".cw-field").classList].find((name) =>
        name.startsWith("cw-at-"),
      );
      if (at) {
        found[at.slice(6)] = input.value;
      }
    }
    return found;
  }

  /** To the field that is wrong, unless the person is somewhere else by now. */
  focus(place) {
    if (this.form?.contains(document.activeElement)) {
      this.form
        .querySelector(`.cw-at-${CSS.escape(place)} :is(input, select)`)
        ?.focus();
    }
  }

  shareKeys(event) {
    if (event.target instanceof Element && this.form?.contains(event.target)) {
      event.target.toggleAttribute(
        "data-lm-suppress-shortcuts",
        !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey),
      );
    }
  }
}
