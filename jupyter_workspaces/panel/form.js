// Keyboard and accessibility of the form: Enter submits, Escape closes, errors describe fields.

const FORM = ".jp-ClusterWorkspacesForm";
let described = 0;

class FormKeys {
  /** `send` sends messages to the kernel, `close` closes the form. */
  constructor(root, send, close) {
    Object.assign(this, { root, send, close, form: null });
    this.stopping = new AbortController();
    this.observer = new MutationObserver(() => this.describe());
    // JupyterLab handles keys on the document in the capture phase; the window precedes it.
    window.addEventListener("keydown", (event) => this.shareKeys(event), {
      capture: true,
      signal: this.stopping.signal,
    });
  }

  /** Find the form, a separate widget that may be rendered later. */
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
    // In the capture phase, because core widgets stop the propagation of keys.
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

  /** Link each control to the hint or error below it. */
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

  /** Return the texts on the page: the kernel may not have received the last characters. */
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

  /** Focus a field with an error, unless the focus has left the form. */
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
