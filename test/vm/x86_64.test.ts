// Every scenario on x86_64, on Debian's kernel.
import { testInGuest } from './suite.ts';

testInGuest('x86_64');
