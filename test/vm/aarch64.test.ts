// Every scenario on aarch64, on Debian's kernel.
import { testInGuest } from './suite.ts';

testInGuest('aarch64');
