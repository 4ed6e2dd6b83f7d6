// JUnit's XML, as CI servers read it: a suite for the matrix, a case for each cell.
import { isFailure, type Job, outcomeOf, sentence } from './result.ts';

/** Characters that XML 1.0 has (section 2.2); others are left out, for no escape may name them either. */
const FOREIGN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\t': '&#9;',
};

/** Line breaks survive in attributes only as references. */
const attribute = (text: string): string =>
  text.replace(FOREIGN, '').replace(/[&<>"\n\r\t]/g, (letter) => escapes[letter]!);

const content = (text: string): string => text.replace(FOREIGN, '').replace(/[&<>\r]/g, (letter) => escapes[letter]!);

/** @param suite its name. @param began in milliseconds since 1970. */
export function junitReport(jobs: Job[], suite: string, began: number, seconds: number): string {
  const count = (match: (job: Job) => boolean): number => jobs.filter(match).length;
  const errors = count((job) => outcomeOf(job) === 'error');
  const counts = [
    `tests="${jobs.length}"`,
    `failures="${count((job) => isFailure(outcomeOf(job))) - errors}"`,
    `errors="${errors}"`,
    `skipped="${count((job) => ['skipped', 'canceled'].includes(outcomeOf(job)))}"`,
    `time="${seconds.toFixed(3)}"`,
  ].join(' ');
  const timestamp = new Date(began).toISOString().slice(0, 19);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${attribute(suite)}" ${counts} timestamp="${timestamp}">`,
    ...jobs.flatMap((job) => testcase(job, suite)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testcase(job: Job, suite: string): string[] {
  const outcome = outcomeOf(job);
  const output = content(job.tail);
  const message = attribute(sentence(job));
  const properties = Object.entries(job.cell.values).map(
    ([name, value]) => `        <property name="${attribute(name)}" value="${attribute(value)}"/>`,
  );
  const inside = [
    ...(properties.length === 0 ? [] : ['      <properties>', ...properties, '      </properties>']),
    ...(outcome === 'failed' || outcome === 'timed out'
      ? [`      <failure message="${message}" type="${outcome}">${output}</failure>`]
      : outcome === 'error'
        ? [`      <error message="${message}" type="error"/>`]
        : outcome === 'passed'
          ? []
          : [`      <skipped message="${message}"/>`]),
    ...(output === '' ? [] : [`      <system-out>${output}</system-out>`]),
  ];
  const head = `    <testcase classname="${attribute(suite)}" name="${attribute(job.cell.name)}" time="${job.seconds.toFixed(3)}"`;
  return inside.length === 0 ? [`${head}/>`] : [`${head}>`, ...inside, '    </testcase>'];
}
