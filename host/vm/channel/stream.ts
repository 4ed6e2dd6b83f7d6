// One stream of the guest channel as a Node stream: what is read gives the guest credit, what is written waits for the guest's.
import { Duplex } from 'node:stream';

/** What a stream needs of its channel. */
export interface StreamPort {
  /** Something is to be sent, or may be sent again. */
  wake(): void;
  /** The reader has taken so many bytes. */
  grant(bytes: number): void;
  end(): void;
  close(): void;
}

const COMPLAINT_KEPT = 4096;
/** What Node reads before anybody asks; the window comes on top of it. */
export const READ_AHEAD = 65536;

/** How a stream ended. */
export interface StreamEnd {
  /** An errno or a program's exit status; undefined where the machine ended first. */
  status: number | undefined;
  /** The last of what a program said on stderr. */
  complaint: string;
}

export class ChannelStream extends Duplex {
  /** Resolves when the guest has opened it. Rejects with an error that has the system's `code`. */
  readonly opened: Promise<void>;
  /** Resolves when the guest has said that it is over, or the machine is gone. */
  readonly over: Promise<StreamEnd>;
  private settleOpened!: { resolve(): void; reject(error: Error): void };
  private settleOver!: (end: StreamEnd) => void;
  private complaint = '';
  private waiting: { bytes: Buffer; done: (error?: Error | null) => void } | undefined;
  private granted = 0;
  private gone = false;
  private readonly port: StreamPort;

  constructor(port: StreamPort, { allowHalfOpen = false }: { allowHalfOpen?: boolean } = {}) {
    super({ allowHalfOpen, readableHighWaterMark: READ_AHEAD, writableHighWaterMark: READ_AHEAD });
    this.port = port;
    this.opened = new Promise((resolve, reject) => {
      this.settleOpened = { resolve, reject };
    });
    this.opened.catch(() => {});
    this.over = new Promise((resolve) => {
      this.settleOver = resolve;
    });
  }

  /** Bytes that wait for credit or for room. */
  get wanting(): number {
    return this.waiting?.bytes.length ?? 0;
  }

  /** Takes up to so many of them. */
  takeOut(most: number): Buffer {
    const { bytes, done } = this.waiting!;
    const taken = bytes.subarray(0, most);
    if (taken.length < bytes.length) this.waiting = { bytes: bytes.subarray(taken.length), done };
    else {
      this.waiting = undefined;
      process.nextTick(done);
    }
    return taken;
  }

  openedByGuest(): void {
    this.settleOpened.resolve();
  }

  /** Data of the guest; false where the reader has enough for now. */
  arrived(bytes: Uint8Array): void {
    this.granted += bytes.length;
    // Copied: a frame shares memory with the chunk that brought it, and a reader may keep it.
    if (this.push(Buffer.from(bytes))) this.grantNow();
  }

  complained(bytes: Uint8Array): void {
    this.complaint = (this.complaint + Buffer.from(bytes).toString()).slice(-COMPLAINT_KEPT);
    this.port.grant(bytes.length);
  }

  endedByGuest(): void {
    this.push(null);
  }

  /** The last call. */
  closedByGuest(status: number | undefined, failure: Error | undefined): void {
    if (this.gone) return;
    this.gone = true;
    if (failure !== undefined) this.settleOpened.reject(failure);
    this.settleOver({ status, complaint: this.complaint.trim() });
    this.push(null);
    const { waiting } = this;
    this.waiting = undefined;
    // As with a socket whose peer is gone.
    waiting?.done(Object.assign(new Error('the guest has closed the stream'), { code: 'EPIPE' }));
    if (this.readableEnded || this.destroyed) this.destroy();
    else this.once('end', () => this.destroy());
  }

  /** Closes once all is sent, as net.Socket does. */
  destroySoon(): void {
    if (!this.writableEnded) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** As a socket's: but streams keep no process alive, their machine does. */
  ref(): void {}

  unref(): void {}

  override _read(): void {
    this.grantNow();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.gone) done(Object.assign(new Error('the stream is closed'), { code: 'EPIPE' }));
    else if (chunk.length === 0) done();
    else {
      this.waiting = { bytes: chunk, done };
      this.port.wake();
    }
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.gone) this.port.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { waiting } = this;
    this.waiting = undefined;
    if (!this.gone) this.port.close();
    waiting?.done(error);
    done(error);
  }

  private grantNow(): void {
    const bytes = this.granted;
    this.granted = 0;
    if (bytes > 0) this.port.grant(bytes);
  }
}
