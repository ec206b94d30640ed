// The widget: the table with all that it can do.

Object.assign(Table.prototype, Live, Columns, Placing, Actions, Trust, Keys);

export default {
  render({ model, el }) {
    const table = new Table(model, el);
    return () => table.dispose();
  },
};
