// Axes, exclude and include → combinations, by the rules of GitHub's strategy.matrix.
export type Values = Record<string, string>;

export interface Axes {
  axes: Record<string, string[]>;
  include: Values[];
  exclude: Values[];
}

const agrees = (values: Values, wanted: Values): boolean =>
  Object.entries(wanted).every(([axis, value]) => values[axis] === value);

/**
 * Excluded are combinations that have all values of an entry. An included entry joins each combination whose axes it would
 * not change, over what earlier entries added there; one that joins none is a combination of its own.
 */
export function expand({ axes, include, exclude }: Axes): Values[] {
  let product: Values[] = Object.keys(axes).length === 0 ? [] : [{}];
  for (const [axis, values] of Object.entries(axes))
    product = product.flatMap((one) => values.map((value) => ({ ...one, [axis]: value })));
  const original = product.filter((one) => !exclude.some((entry) => agrees(one, entry)));
  const joined = original.map((one) => ({ ...one }));
  const own: Values[] = [];
  for (const entry of include) {
    const onAxes = Object.fromEntries(Object.entries(entry).filter(([name]) => Object.hasOwn(axes, name)));
    const at = original.flatMap((one, index) => (agrees(one, onAxes) ? [index] : []));
    for (const index of at) Object.assign(joined[index]!, entry);
    if (at.length === 0) own.push({ ...entry });
  }
  return [...joined, ...own];
}
