// The core that is loaded is the core that was built.
import { expect, it } from 'vitest';
import { PLAN_VERSION } from '../../core-asm/abi.ts';
import { coreVersion } from '../../host/core/core.ts';

it('core.wasm writes the plan version that the host reads', () => {
  expect(coreVersion()).toBe(PLAN_VERSION);
});
