// Quantities of Kubernetes: "100m", "1.5", "64Mi", "1e3".
import { type Fields, invalidField } from './fields.ts';

const powers: Record<string, number> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** As a number; undefined where the field is not there. @throws {GantryError} INVALID_ARGUMENT with its path. */
export function readQuantity(fields: Fields, name: string): number | undefined {
  const given = fields.scalar(name);
  if (given === undefined) return undefined;
  const [, digits, exponent = '', unit = ''] =
    /^(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d+)|([a-zA-Z]+))?$/.exec(String(given)) ?? [];
  const power = powers[unit];
  if (digits === undefined || power === undefined)
    throw invalidField(fields.at(name), `"${given}" is no quantity`, 'Such as 500m, 2, 64Mi or 1G');
  return Number(`${digits}${exponent}`) * power;
}
