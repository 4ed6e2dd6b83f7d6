// Which system paths a container may not see, or not change.
import { systemPaths } from '../core/plans.ts';
import type { HostConfig } from '../types.ts';

export interface ConfinedPaths {
  masked: string[];
  readOnly: string[];
}

export function confinedPaths({ maskedPaths, readonlyPaths, securityOpt }: HostConfig): ConfinedPaths {
  const unconfined = securityOpt.some((option) => /^systempaths[=:]unconfined$/.test(option));
  const { masked, readOnly } = unconfined ? { masked: [], readOnly: [] } : systemPaths();
  return { masked: maskedPaths ?? masked, readOnly: readonlyPaths ?? readOnly };
}
