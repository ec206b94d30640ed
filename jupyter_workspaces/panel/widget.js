// The widget: the table with its mixins.

Object.assign(Table.prototype, Live, Columns, Placing, Actions, Trust, Keys);

export default {
  render({ model, el }) {
    const table = new Table(model, el);
    return () => table.dispose();
  },
};
