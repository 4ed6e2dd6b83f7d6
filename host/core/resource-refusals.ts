// Refusals of core-asm/resources and core-asm/devices as sentences.
import type { Refusal } from './refusal.ts';

export const resourceRefusals: Record<string, Refusal> = {};
