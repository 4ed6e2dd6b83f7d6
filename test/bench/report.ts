// What was measured: a line each for people, one JSON object for machines.
export interface Result {
  gantry: number;
  peer?: number;
  /** gantry divided by peer: below 1 gantry is faster or smaller; for rates above 1 is faster. */
  ratio?: number;
  unit: string;
  peerName?: string;
}

export interface Report {
  readonly json: boolean;
  /** Few rounds: to see that it works, not to be quoted. */
  readonly quick: boolean;
  say(text: string): void;
  record(name: string, unit: string, gantry: number, peer?: { name: string; value: number } | undefined): void;
  print(): void;
}

const round = (value: number): number => Number(value.toPrecision(4));

export function createReport(argv: string[]): Report {
  const results: Record<string, Result> = {};
  const json = argv.includes('--json');
  const say = (text: string): void => {
    if (!json) console.log(text);
  };
  return {
    json,
    quick: argv.includes('--quick'),
    say,
    record(name, unit, gantry, peer) {
      const ratio = peer === undefined ? undefined : round(gantry / peer.value);
      results[name] = {
        gantry: round(gantry),
        ...(peer === undefined ? {} : { peer: round(peer.value), ratio: ratio!, peerName: peer.name }),
        unit,
      };
      const beside = peer === undefined ? '' : `${peer.name} ${round(peer.value)} ${unit}, ratio ${ratio}`;
      say(`${name.padEnd(48)}${round(gantry).toString().padStart(9)} ${unit.padEnd(6)} ${beside}`);
    },
    print() {
      if (json) console.log(JSON.stringify(results));
    },
  };
}
